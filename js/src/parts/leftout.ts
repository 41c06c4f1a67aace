/** Tokens that a reader may leave out of a pattern: where much attention rests that says little. */
import type { TokensJson } from '../views/types';
import { placeOf } from './patches';

export const KINDS = ['first', 'special', 'padding', 'sink'] as const;
export type Kind = (typeof KINDS)[number];

/**
 * Positions of each kind; a first token that is special counts as that, a patch of an image never. `sink`: the last one is
 * no token.
 */
export function kindsOf(tokens: TokensJson, sink: boolean): Record<Kind, number[]> {
  const { special, role } = tokens;
  const count = special.length - (sink ? 1 : 0);
  const where = (is: (i: number) => boolean) => Array.from({ length: count }, (_, i) => i).filter(is);
  return {
    first: count > 1 && !special[0] ? [0] : [],
    special: where((i) => special[i] && role[i] !== 'PAD' && !placeOf(tokens, i)),
    padding: where((i) => role[i] === 'PAD'),
    sink: sink ? [count] : [],
  };
}

/** 1 for each position of these kinds; undefined where there is none. */
export function outOf(found: Record<Kind, number[]>, kinds: Record<Kind, boolean>, count: number) {
  const out = new Uint8Array(count);
  let any = false;
  for (const kind of KINDS) {
    if (!kinds[kind]) continue;
    for (const i of found[kind]) out[i] = 1;
    any ||= found[kind].length > 0;
  }
  return any ? out : undefined;
}
