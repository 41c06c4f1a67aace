/** A row or a column as one sentence, for those who hear it. */
import type { Line } from '../pattern/pattern';
import type { TokensJson } from '../views/types';
import { say } from '../words';
import { spoken } from './label';
import { read } from './rowreadout';

/** Weights that are named before the rest is summed up. */
const NAMED = 3;

export interface Heard {
  by: boolean;
  subject: number;
  partner: number | undefined;
  line: Line;
  /** The subject's tokens, and those at the other end. */
  own: TokensJson;
  others: TokensJson;
  print(value: number, error?: number): string;
  options: Omit<Parameters<typeof read>[2], 'size'>;
  /** What the line is of where it is of several. */
  called?: string;
}

/**
 * "'gave' at 12 reads 'John' at 9 0.71, then 'Mary' at 2 0.12, then 'a' at 13 0.03; rest 0.14". A cell that is pointed at and
 * is not the largest comes first: "'gave' at 12 reads 'a' at 13 0.03, rank 3 of 13. Largest: …".
 */
export function summaryOf({ by, subject, partner, line, own, others, print, options, called }: Heard): string {
  const { top, rest, rank, count } = read(line, partner, { ...options, size: NAMED });
  const item = (index: number, value: number) =>
    say('heard.item', { token: spoken(others, index), value: print(value, options.errorOf(value, index)) });
  const list =
    top.map((entry) => item(entry.index, entry.value)).join(say('heard.then')) +
    (rest.count > 0 ? say('heard.rest', { value: print(rest.value, rest.error) }) : '');
  const token = called ?? spoken(own, subject);
  const relation = by ? 'heard.by' : 'heard.from';
  if (partner === undefined || partner === top[0]?.index) return say(relation, { token, list });
  const value = line.values[partner - line.start];
  if (value === undefined) return say(relation, { token, list });
  const cell = `${item(partner, value)}, ${say('readout.rank', { rank: rank ?? '–', count })}`;
  return `${say(relation, { token, list: cell })}. ${say('readout.largest')}: ${list}`;
}
