/** What a view asks about the weights of one head, however they are held. */
import type { Numbers, Precision } from '../wire';

/** "from": one query over the keys it reads from. "by": one key over the queries that read it. */
export type Direction = 'from' | 'by';

export interface Cell {
  query: number;
  key: number;
}

/** A row ("from") or a column ("by"), without what the mask leaves out. */
export interface Line {
  /** Position of the first value. */
  start: number;
  values: ArrayLike<number>;
}

/** Half open: from, to. */
export type Range = readonly [from: number, to: number];

/** A rectangle of a head, pooled: cell (r, c) stands for `step` × `step` weights, the last ones for fewer. */
export interface Tile {
  /** rows × cols, row by row. */
  values: Numbers;
  rows: number;
  cols: number;
  step: number;
  /** The weight in the corner of cell (0, 0). */
  origin: Cell;
  /** Rows that are here, from the top; all of them by default. */
  done?: number;
}

/**
 * The weights of one head. `Dense` holds them all; other sources (`Factored`, a kernel) answer `undefined` while the
 * numbers are on their way, and what reads them in a `$derived` is run again when they have come.
 */
export interface Pattern {
  readonly queries: number;
  readonly keys: number;
  /** No query reads from a key behind it; those cells do not exist. */
  readonly causal: boolean;
  /** What its numbers, or its factors, have travelled as. */
  readonly precision: Precision;
  /** How far any weight may be from the model's, where that does not follow from `precision`. */
  readonly error?: number;
  /** One row or column. */
  line(direction: Direction, index: number): Line | undefined;
  /** A rectangle of the head, all of it by default; `step` > 1 pools squares of weights (see `pool`). */
  tile(step: number, rows?: Range, cols?: Range): Tile | undefined;
  /** The largest weight of each row, where that is known without `tile(1)`. */
  maxima?(): ArrayLike<number> | undefined;
  /** The weight that a pooled cell shows: the largest (signed: furthest from zero) of the rectangle, within the mask. */
  peak(rows: Range, cols: Range): Cell | undefined;
}

/** How many keys the mask leaves to a query. */
export function visible(pattern: { keys: number; causal: boolean }, query: number): number {
  return pattern.causal ? Math.min(query + 1, pattern.keys) : pattern.keys;
}

/**
 * Larger of two weights under the one pooling rule, shared with mechviz/pattern.py: the maximum, for signed numbers the
 * one furthest from zero; NaN wins, so that it is never hidden.
 */
export function outweighs(a: number, b: number, signed: boolean): boolean {
  if (Number.isNaN(b)) return false;
  return Number.isNaN(a) || (signed ? Math.abs(a) > Math.abs(b) : a > b);
}
