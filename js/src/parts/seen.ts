/** What masks leave out that is not cut at the diagonal: what lies before a sliding window, and between a query and the sink. */
import type { Direction, Line, Range } from '../pattern/pattern';

export interface Mask {
  /** Keys that a query can see at most, itself among them. */
  window?: number;
  /** Of heads that are causal but for their last key, which is a sink: that key. */
  sink?: number;
}

/** The stretch of a row or column, or of several read as one, that is not masked; in rows `behind` says what else is. */
export function seenOf(line: Line, direction: Direction, subjects: number[], { window, sink }: Mask): Line {
  const { start, values } = line;
  let [from, to] = [start, start + values.length];
  if (direction === 'from') from = Math.max(from, window === undefined ? 0 : Math.min(...subjects) - window + 1);
  else if (!subjects.includes(sink!)) {
    if (sink !== undefined) from = Math.max(from, Math.min(...subjects));
    if (window !== undefined) to = Math.min(to, Math.max(...subjects) + window);
  }
  if (to - from === values.length) return line;
  const part = [from - start, Math.max(from, to) - start] as const;
  return { start: from, values: (values as Float32Array).subarray?.(...part) ?? Array.from(values).slice(...part) };
}

/** 1 for keys behind all of the queries, the sink not among them; and for those that `out` has already. */
export function behind(queries: number[], sink: number, out?: Uint8Array): Uint8Array {
  const last = Math.max(...queries);
  return Uint8Array.from({ length: sink + 1 }, (_, key) => Number((key > last && key < sink) || !!out?.[key]));
}

/** Whether all that a cell stands for is masked. */
export function isMasked({ window, sink }: Mask, rows: Range, cols: Range): boolean {
  const before = window !== undefined && cols[1] <= rows[0] - window + 1;
  return before || (sink !== undefined && cols[0] >= rows[1] && cols[1] <= sink);
}
