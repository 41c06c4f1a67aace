/** A pattern whose queries and keys are merged to words or spans: its weights are sums over keys, means over queries. */
import type { Precision } from '../wire';
import { part, pool } from './dense';
import {
  outweighs,
  visible,
  type Cell,
  type Direction,
  type Edges,
  type Line,
  type Pattern,
  type Pooling,
  type Range,
  type Reading,
  type Tile,
} from './pattern';

/** Units that a page holds all weights of: 64 MB. */
export const MOST_UNITS = 4096;

export class Merged implements Pattern {
  readonly queries: number;
  readonly keys: number;
  readonly causal: boolean;
  readonly signed: boolean;
  readonly precision: Precision;
  readonly error?: number;
  /** Every weight, once they are here. */
  #whole?: Tile;
  /** The same at each step asked for so far. */
  #pooled = new Map<string, Tile>();

  constructor(
    readonly of: Pattern,
    /** Where units begin and the last ones end, in tokens. */
    readonly units: Edges,
  ) {
    const { rows, cols } = units;
    [this.queries, this.keys] = [rows.length - 1, cols.length - 1];
    this.causal = of.causal && rows.length === cols.length && Array.from(rows).every((edge, i) => edge === cols[i]);
    [this.signed, this.precision, this.error] = [of.signed, of.precision, of.error];
  }

  line(direction: Direction, index: number): Line | undefined {
    const all = this.#all();
    const { rows, cols } = this.units;
    const from = direction === 'from';
    const here = all && (from ? index < doneOf(all) : doneOf(all) === all.rows);
    const own: Edges = from
      ? { rows: [rows[index], rows[index + 1]], cols }
      : { rows, cols: [cols[index], cols[index + 1]] };
    // Before all of it is here, a row or column is asked for by itself.
    const tile = here ? all : this.of.cut(own, 'mass');
    if (!tile || (!here && doneOf(tile) < tile.rows)) return undefined;
    if (from) {
      const at = here ? index * this.keys : 0;
      return { start: 0, values: tile.values.subarray(at, at + visible(this, index)) };
    }
    const start = this.causal ? index : 0;
    const [width, column] = here ? [this.keys, index] : [1, 0];
    const values = Float64Array.from(
      { length: this.queries - start },
      (_, i) => tile.values[(start + i) * width + column],
    );
    return { start, values };
  }

  tile(
    step: number,
    rows: Range = [0, this.queries],
    cols: Range = [0, this.keys],
    pooling: Pooling = 'max',
  ): Tile | undefined {
    const all = this.#all();
    if (!all) return undefined;
    const done = Math.floor(doneOf(all) / step);
    const complete = doneOf(all) === all.rows;
    if (!complete && !done) return undefined;
    const name = `${pooling} ${step}`;
    let tile = step > 1 ? this.#pooled.get(name) : plain(all);
    if (!tile) {
      tile = pooling === 'max' ? pool(plain(all), step, this.causal, this.signed) : this.#massed(plain(all), step);
      if (complete) this.#pooled.set(name, tile);
    }
    const cut = part(tile, rows, cols);
    if (complete) return cut;
    const first = Math.floor(rows[0] / step);
    return { ...cut, done: Math.max(0, Math.min(cut.rows, done - first)) };
  }

  cut({ rows, cols }: Edges, pooling: Pooling = 'max'): Tile | undefined {
    if (pooling === 'mass') {
      const edges = { rows: at(this.units.rows, rows), cols: at(this.units.cols, cols) };
      const tile = this.of.cut(edges, 'mass');
      return tile && { ...tile, origin: { query: rows[0], key: cols[0] }, edges: { rows, cols } };
    }
    const all = this.#all();
    if (!all || doneOf(all) < all.rows) return undefined;
    const [down, across] = [rows.length - 1, cols.length - 1];
    const values = new Float32Array(down * across);
    for (let r = 0; r < down; r++) {
      for (let c = 0; c < across; c++) {
        const cell = this.peak([rows[r], rows[r + 1]], [cols[c], cols[c + 1]]);
        if (cell) values[r * across + c] = all.values[cell.query * this.keys + cell.key];
      }
    }
    return {
      values,
      rows: down,
      cols: across,
      step: 1,
      origin: { query: rows[0], key: cols[0] },
      edges: { rows, cols },
    };
  }

  /** The largest size in each row. */
  maxima(): ArrayLike<number> | undefined {
    const all = this.#all();
    if (!all || doneOf(all) < all.rows) return undefined;
    const { values } = all;
    return Float64Array.from({ length: this.queries }, (_, i) => {
      let most = 0;
      for (let j = 0; j < visible(this, i); j++) {
        const size = Math.abs(values[i * this.keys + j]);
        if (size > most && size < Infinity) most = size;
      }
      return most;
    });
  }

  peak(rows: Range, cols: Range): Cell | undefined {
    const all = this.#all();
    const bottom = Math.min(rows[1], this.queries);
    if (!all || bottom > doneOf(all)) return undefined;
    let best: Cell | undefined;
    let value = 0;
    for (let query = rows[0]; query < bottom; query++) {
      for (let key = cols[0]; key < Math.min(cols[1], visible(this, query)); key++) {
        const here = all.values[query * this.keys + key];
        if (best && !outweighs(here, value, this.signed)) continue;
        [best, value] = [{ query, key }, here];
      }
    }
    return best;
  }

  read(reading: Reading, others: Pattern[] = []): Pattern {
    const heads = others.map((other) => (other as Merged).of);
    return new Merged(this.of.read(reading, heads), this.units);
  }

  /** As far as it is here. */
  #all(): Tile | undefined {
    if (this.#whole) return this.#whole;
    const tile = this.of.cut(this.units, 'mass');
    if (tile && doneOf(tile) === tile.rows) this.#whole = tile;
    return tile;
  }

  /** `step` × `step` units to a cell: the mean over all of its queries, not over its units. */
  #massed({ values }: Tile, step: number): Tile {
    const { rows } = this.units;
    const [down, across] = [Math.ceil(this.queries / step), Math.ceil(this.keys / step)];
    const sums = new Float64Array(down * across);
    for (let i = 0; i < this.queries; i++) {
      const r = Math.floor(i / step);
      const all = rows[Math.min(this.queries, (r + 1) * step)] - rows[r * step];
      const share = (rows[i + 1] - rows[i]) / all;
      for (let j = 0; j < visible(this, i); j++)
        sums[r * across + Math.floor(j / step)] += share * values[i * this.keys + j];
    }
    return { values: Float32Array.from(sums), rows: down, cols: across, step, origin: { query: 0, key: 0 } };
  }
}

function doneOf(tile: Tile): number {
  return tile.done ?? tile.rows;
}

/** In units: every weight is a cell. */
function plain({ values, rows, cols }: Tile): Tile {
  return { values, rows, cols, step: 1, origin: { query: 0, key: 0 } };
}

function at(edges: ArrayLike<number>, indices: ArrayLike<number>): number[] {
  return Array.from(indices, (index) => edges[index]);
}
