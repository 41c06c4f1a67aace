/** What a row or a column says in numbers: the largest weights, the sum of the rest, the rank of one. */
import type { Line } from '../pattern/pattern';

export interface Entry {
  index: number;
  value: number;
}

export interface Reading {
  /** The largest in size, in order; numbers that are none come last. */
  top: Entry[];
  /** All the others together, with the largest error that their encoding allows. */
  rest: { count: number; value: number; error: number };
  /** 1 is the largest; equal values share a rank. Undefined where there is nothing to rank. */
  rank: number | undefined;
  count: number;
}

/** How far a number may be off; `at` is where it stands. */
export type ErrorOf = (value: number, at?: number) => number;

/** What the whole line is known to sum to: rows of probabilities do to 1, exactly but for rounding. */
export interface Total {
  value: number;
  error: number;
}

export function read(
  line: Line,
  partner: number | undefined,
  options: { size: number; signed: boolean; errorOf: ErrorOf; total?: Total; without?: Uint8Array },
): Reading {
  const { size, signed, errorOf, total, without } = options;
  const weigh = (value: number) => (Number.isNaN(value) ? -Infinity : signed ? Math.abs(value) : value);
  const value = partner === undefined ? NaN : line.values[partner - line.start];
  let rank = Number.isNaN(value) ? undefined : 1;
  const top: Entry[] = [];
  let count = 0;
  for (let i = 0; i < line.values.length; i++) {
    if (without?.[line.start + i]) continue;
    count++;
    const here = weigh(line.values[i]);
    if (rank !== undefined && here > weigh(value)) rank++;
    if (top.length === size && here <= weigh(top[size - 1].value)) continue;
    let at = top.length;
    while (at > 0 && weigh(top[at - 1].value) < here) at--;
    top.splice(at, 0, { index: line.start + i, value: line.values[i] });
    if (top.length > size) top.pop();
  }
  if (partner !== undefined && without?.[partner]) rank = undefined;
  return { top, rest: restOf(line, top, count - top.length, errorOf, total, without), rank, count };
}

/**
 * The sum of what is not among the largest. Where the total is known, the total less the largest may be nearer to the
 * model's numbers than the sum of many rounded ones: the one with the smaller error is told.
 */
function restOf(
  line: Line,
  top: Entry[],
  count: number,
  errorOf: ErrorOf,
  total?: Total,
  without?: Uint8Array,
): Reading['rest'] {
  const listed = new Set(top.map((entry) => entry.index));
  let [value, error] = [0, 0];
  for (let i = 0; i < line.values.length; i++) {
    if (listed.has(line.start + i) || without?.[line.start + i]) continue;
    value += line.values[i];
    error += errorOf(line.values[i], line.start + i);
  }
  if (total && count > 0) {
    const known = total.error + top.reduce((sum, entry) => sum + errorOf(entry.value, entry.index), 0);
    if (known < error) {
      return {
        count,
        value: Math.max(
          0,
          top.reduce((left, entry) => left - entry.value, total.value),
        ),
        error: known,
      };
    }
  }
  return { count, value, error };
}
