/** What a view asks about the weights of a head, or of several read as one, however they are held. */
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

/** "max": the largest weight of a cell (signed: furthest from zero). "mass": its sum over keys, as a mean over queries. */
export type Pooling = 'max' | 'mass';

/** Where the rows and columns of cells begin, and where the last ones end: increasing. Words, spans, every eighth key. */
export interface Edges {
  rows: ArrayLike<number>;
  cols: ArrayLike<number>;
}

/** A rectangle of weights, pooled: cell (r, c) stands for `step` × `step` weights, the last ones for fewer. */
export interface Tile {
  /** rows × cols, row by row. */
  values: Numbers;
  rows: number;
  cols: number;
  step: number;
  /** The weight in the corner of cell (0, 0). */
  origin: Cell;
  /** Where cells begin and end, where they are not `step` apart. */
  edges?: Edges;
  /** Rows that are here, from the top; all of them by default. */
  done?: number;
}

/**
 * How weights are read: `combine over heads of P[head, query, key] · columns[head][key] · rows[head][query]`, before
 * anything is pooled. One list of factors is for all heads, else there is one for each. mechviz/_reading.py has the same.
 */
export interface Reading {
  /** A factor for each key: norms of values, 0 for keys that are left out. */
  columns?: Float32Array[];
  /** A factor for each query: 1 / `mass` shares what is visible out anew. */
  rows?: Float32Array[];
  /** How several heads become one; "max" of signed numbers is the one furthest from zero. */
  combine?: 'mean' | 'max' | 'sum';
}

/**
 * The weights of one head, or of several as a `Reading` has them. `Dense` holds them all; other sources (`Factored`,
 * `Remote`) answer `undefined` while the numbers are on their way, and what reads them in a `$derived` is run again
 * when they have come.
 */
export interface Pattern {
  readonly queries: number;
  readonly keys: number;
  /** No query reads from a key behind it; those cells do not exist. */
  readonly causal: boolean;
  /** Weights may be negative. */
  readonly signed: boolean;
  /** What its numbers, or its factors, have travelled as. */
  readonly precision: Precision;
  /** How far any weight may be from the model's, where that does not follow from `precision`. */
  readonly error?: number;
  /** One row or column. */
  line(direction: Direction, index: number): Line | undefined;
  /** The mean of several rows, the sum of several columns, where these are not better asked for one by one. */
  lines?(direction: Direction, indices: number[]): Line | undefined;
  /** A rectangle, all of it by default, cut at whole cells; `step` > 1 pools squares of weights. */
  tile(step: number, rows?: Range, cols?: Range, pooling?: Pooling): Tile | undefined;
  /** The same with cells of any size. */
  cut(edges: Edges, pooling?: Pooling): Tile | undefined;
  /** The largest weight of each row, where that is known without `tile(1)`. */
  maxima?(): ArrayLike<number> | undefined;
  /** The weight that a cell pooled by "max" shows: the largest (signed: furthest from zero) of the rectangle. */
  peak(rows: Range, cols: Range): Cell | undefined;
  /** It and other heads of the same source read in another way than it is by itself. */
  read(reading: Reading, others?: Pattern[]): Pattern;
}

/** How many keys the mask leaves to a query. */
export function visible(pattern: { keys: number; causal: boolean }, query: number): number {
  return pattern.causal ? Math.min(query + 1, pattern.keys) : pattern.keys;
}

/** How much of each row is on keys that `columns` leaves in, of what is read: Σ P · columns; what 1 / `rows` is. */
export function mass(pattern: Pattern): ArrayLike<number> | undefined {
  const rows = Array.from({ length: pattern.queries + 1 }, (_, i) => i);
  const tile = pattern.cut({ rows, cols: [0, pattern.keys] }, 'mass');
  return tile && (tile.done ?? tile.rows) === tile.rows ? tile.values : undefined;
}

/** The edges of cells of `step` weights, the last one perhaps of fewer. */
export function steps([from, to]: Range, step: number): Int32Array {
  const edges = Int32Array.from({ length: Math.ceil((to - from) / step) + 1 }, (_, i) => from + i * step);
  edges[edges.length - 1] = to;
  return edges;
}

/** A range of `count` weights, widened to whole cells. */
export function whole([from, to]: Range, step: number, count: number): Range {
  return [Math.floor(from / step) * step, Math.min(count, Math.ceil(to / step) * step)];
}

/** Where the cells of a tile begin and end. */
export function edgesOf(tile: Tile, queries: number, keys: number): Edges {
  if (tile.edges) return tile.edges;
  const { origin, step, rows, cols } = tile;
  return {
    rows: steps([origin.query, Math.min(queries, origin.query + rows * step)], step),
    cols: steps([origin.key, Math.min(keys, origin.key + cols * step)], step),
  };
}

/** The last column of a tile's row that a causal mask leaves; −1 if none. */
export function lastColumn(tile: Tile, row: number): number {
  if (tile.edges) {
    const query = tile.edges.rows[row + 1] - 1;
    let last = tile.cols - 1;
    while (last >= 0 && tile.edges.cols[last] > query) last--;
    return last;
  }
  const query = tile.origin.query + (row + 1) * tile.step - 1;
  return Math.max(-1, Math.min(tile.cols - 1, Math.floor((query - tile.origin.key) / tile.step)));
}

/**
 * Larger of two weights under the one pooling rule, shared with mechviz/pattern.py: the maximum, for signed numbers the
 * one furthest from zero; NaN wins, so that it is never hidden.
 */
export function outweighs(a: number, b: number, signed: boolean): boolean {
  if (Number.isNaN(b)) return false;
  return Number.isNaN(a) || (signed ? Math.abs(a) > Math.abs(b) : a > b);
}
