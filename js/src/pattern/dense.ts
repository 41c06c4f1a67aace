/** A head whose weights are all here, as one array; what is read of it in another way is worked out as another array. */
import type { NdArray, Numbers, Precision } from '../wire';
import { boundOf, leastExact, Local, math, readOf } from './local';
import {
  edgesOf,
  lastColumn,
  outweighs,
  visible,
  type Edges,
  type Pattern,
  type Pooling,
  type Range,
  type Reading,
  type Tile,
} from './pattern';

export { lastColumn };

export class Dense extends Local {
  readonly precision: Precision;
  readonly error?: number;
  #data: Numbers;
  /** The whole head at each step asked for so far, pooled by one rule or the other. */
  #pooled = new Map<string, Tile>();

  constructor(
    array: NdArray,
    causal: boolean,
    /** Weights may be negative: pooling keeps the one furthest from zero. */
    signed = false,
    error?: number,
  ) {
    const [queries, keys] = array.shape.slice(-2);
    const heads = [{ weights: array.data, keyCount: keys }];
    super({ heads, columns: null, rows: null, combine: 'mean', causal, signed }, queries, keys);
    [this.precision, this.error] = [array.precision, error];
    this.#data = array.data;
  }

  tile(step: number, rows: Range = [0, this.queries], cols: Range = [0, this.keys], pooling: Pooling = 'max'): Tile {
    const name = `${pooling} ${step}`;
    let whole = this.#pooled.get(name);
    if (!whole) {
      const all = { values: this.#data, rows: this.queries, cols: this.keys, step: 1, origin: { query: 0, key: 0 } };
      if (pooling === 'max') {
        // The largest of four is the largest of two and two, which are made of a quarter of the numbers.
        const halves = !this.causal && step > 2 && step % 2 === 0;
        whole = halves ? pool(this.tile(step / 2), 2, false, this.signed) : pool(all, step, this.causal, this.signed);
      } else {
        const [down, across] = [Math.ceil(this.queries / step), Math.ceil(this.keys / step)];
        const like = { ...all, rows: down, cols: across, step };
        whole = { ...like, values: this.#cells(edgesOf(like, this.queries, this.keys), pooling) };
      }
      this.#pooled.set(name, whole);
    }
    return part(whole, rows, cols);
  }

  cut(edges: Edges, pooling: Pooling = 'max'): Tile {
    const [rows, cols] = [edges.rows.length - 1, edges.cols.length - 1];
    const origin = { query: edges.rows[0], key: edges.cols[0] };
    return { values: this.#cells(edges, pooling), rows, cols, step: 1, origin, edges };
  }

  read(reading: Reading, others: Pattern[] = []): Dense {
    const all = [this, ...others] as Local[];
    const read = readOf(all, reading);
    const exact = this.#data instanceof Float64Array;
    const data = exact ? new Float64Array(this.queries * this.keys) : new Float32Array(this.queries * this.keys);
    const line = new Float64Array(this.keys);
    for (let i = 0; i < this.queries; i++) {
      const stop = visible({ keys: this.keys, causal: read.causal }, i);
      math.line(read, i, 0, stop, line);
      data.set(line.subarray(0, stop), i * this.keys);
    }
    const shape = [this.queries, this.keys];
    return new Dense({ data, shape, precision: leastExact(all) }, read.causal, read.signed, boundOf(all, reading));
  }

  #cells({ rows, cols }: Edges, pooling: Pooling): Float32Array {
    const [down, across] = [rows.length - 1, cols.length - 1];
    const cut = { rows: Int32Array.from(rows), cols: Int32Array.from(cols), pooling };
    const out = new Float32Array(down * across);
    const line = new Float64Array(cols[across] - cols[0]);
    for (let r = 0; r < down; r++) {
      const maxima = new Float32Array(rows[r + 1] - rows[r]);
      math.pooled(this.held, cut, [rows[r], rows[r + 1]], out.subarray(r * across, (r + 1) * across), maxima, line);
    }
    return out;
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

/** The part of a tile that covers the given weights. */
export function part(tile: Tile, rows: Range, cols: Range): Tile {
  const { origin, step } = tile;
  const [top, left] = [Math.floor((rows[0] - origin.query) / step), Math.floor((cols[0] - origin.key) / step)];
  const height = Math.min(tile.rows, Math.ceil((rows[1] - origin.query) / step)) - top;
  const width = Math.min(tile.cols, Math.ceil((cols[1] - origin.key) / step)) - left;
  if (height === tile.rows && width === tile.cols) return tile;
  const values = new (tile.values.constructor as Float32ArrayConstructor)(height * width);
  for (let r = 0; r < height; r++) {
    const from = (top + r) * tile.cols + left;
    values.set(tile.values.subarray(from, from + width) as Float32Array, r * width);
  }
  const at = { query: origin.query + top * step, key: origin.key + left * step };
  return { values, rows: height, cols: width, step, origin: at };
}
