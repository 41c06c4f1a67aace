/** A head whose weights are all here, as one array. */
import type { NdArray, Numbers, Precision } from '../wire';
import {
  outweighs,
  visible,
  type Cell,
  type Direction,
  type Line,
  type Pattern,
  type Range,
  type Tile,
} from './pattern';

export class Dense implements Pattern {
  readonly queries: number;
  readonly keys: number;
  readonly precision: Precision;
  #data: Numbers;
  /** The whole head at each step asked for so far. */
  #pooled = new Map<number, Tile>();

  constructor(
    array: NdArray,
    readonly causal: boolean,
    /** Weights may be negative: pooling keeps the one furthest from zero. */
    readonly signed = false,
  ) {
    [this.queries, this.keys] = array.shape.slice(-2);
    this.precision = array.precision;
    this.#data = array.data;
  }

  line(direction: Direction, index: number): Line {
    if (direction === 'from') {
      const start = index * this.keys;
      return { start: 0, values: this.#data.subarray(start, start + visible(this, index)) };
    }
    const start = this.causal ? index : 0;
    const values = new Float64Array(this.queries - start);
    for (let i = 0; i < values.length; i++) values[i] = this.#data[(start + i) * this.keys + index];
    return { start, values };
  }

  tile(step: number, rows: Range = [0, this.queries], cols: Range = [0, this.keys]): Tile {
    let whole = this.#pooled.get(step);
    if (!whole) {
      const all = { values: this.#data, rows: this.queries, cols: this.keys, step: 1, origin: { query: 0, key: 0 } };
      this.#pooled.set(step, (whole = pool(all, step, this.causal, this.signed)));
    }
    return cut(whole, rows, cols);
  }

  peak(rows: Range, cols: Range): Cell | undefined {
    let best: Cell | undefined;
    let value = 0;
    for (let query = rows[0]; query < Math.min(rows[1], this.queries); query++) {
      for (let key = cols[0]; key < Math.min(cols[1], visible(this, query)); key++) {
        const here = this.#data[query * this.keys + key];
        if (best && !outweighs(here, value, this.signed)) continue;
        best = { query, key };
        value = here;
      }
    }
    return best;
  }
}

/**
 * A tile with `factor` × `across` of its cells to one. Nothing is sampled: the largest weight of a square stands for it.
 * What a causal mask leaves out takes no part; what it leaves of rectangles that are no squares is not asked.
 */
export function pool(tile: Tile, factor: number, causal: boolean, signed: boolean, across = factor): Tile {
  if (factor <= 1 && across <= 1) return tile;
  const rows = Math.ceil(tile.rows / factor);
  const cols = Math.ceil(tile.cols / across);
  const values = new (tile.values.constructor as Float32ArrayConstructor)(rows * cols);
  const first = new Uint8Array(cols);
  for (let r = 0; r < rows; r++) {
    first.fill(1);
    for (let row = r * factor; row < Math.min((r + 1) * factor, tile.rows); row++) {
      const last = causal ? lastColumn(tile, row) : tile.cols - 1;
      for (let col = 0; col <= last; col++) {
        const c = (col / across) | 0;
        const value = tile.values[row * tile.cols + col];
        if (!first[c] && !outweighs(value, values[r * cols + c], signed)) continue;
        values[r * cols + c] = value;
        first[c] = 0;
      }
    }
  }
  return { values, rows, cols, step: tile.step * factor, origin: tile.origin };
}

/** The last column of a tile's row that a causal mask leaves; −1 if none. */
export function lastColumn(tile: Tile, row: number): number {
  const query = tile.origin.query + (row + 1) * tile.step - 1;
  return Math.min(tile.cols - 1, Math.floor((query - tile.origin.key) / tile.step));
}

/** The part of a tile that covers the given weights. */
function cut(tile: Tile, rows: Range, cols: Range): Tile {
  const [top, left] = [Math.floor(rows[0] / tile.step), Math.floor(cols[0] / tile.step)];
  const height = Math.min(tile.rows, Math.ceil(rows[1] / tile.step)) - top;
  const width = Math.min(tile.cols, Math.ceil(cols[1] / tile.step)) - left;
  if (height === tile.rows && width === tile.cols) return tile;
  const values = new (tile.values.constructor as Float32ArrayConstructor)(height * width);
  for (let r = 0; r < height; r++) {
    const from = (top + r) * tile.cols + left;
    values.set(tile.values.subarray(from, from + width) as Float32Array, r * width);
  }
  const origin = { query: top * tile.step, key: left * tile.step };
  return { values, rows: height, cols: width, step: tile.step, origin };
}
