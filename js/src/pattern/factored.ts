/** A head held as queries and keys: rows, columns and cells are computed at once, pooled rectangles in the background. */
import { createSubscriber } from 'svelte/reactivity';
import type { NdArray, Precision } from '../wire';
import { arithmetic, type Band, type Factors, type Pooling } from './arithmetic';
import { engine as shared, type Engine } from './engine';
import { visible, type Cell, type Direction, type Line, type Pattern, type Range, type Tile } from './pattern';

/** What mechviz/views/_pattern_wire.py sends of one head; `A` is an array, here or still on its way. */
export interface FactorsJson<A = NdArray> {
  /** [query, dim] and [key, dim] */
  queries: A;
  keys: A;
  /** [query] */
  normaliser: A;
  /** [query] */
  sink: A | null;
  /** [key] */
  mask: A | null;
  causal: boolean;
  window: number | null;
  offset: number;
  softcap: number | null;
  /** Largest distance of a weight from the model's. */
  error: number;
  precision: 'float16' | 'float32';
}

const math = arithmetic();
/** Rectangles that are kept beside the whole head. */
const KEPT = 8;

export class Factored implements Pattern {
  readonly queries: number;
  readonly keys: number;
  readonly precision: Precision;
  readonly error: number;
  readonly factors: Factors;
  #head?: number;
  #tiles = new Map<string, Tile>();
  #maxima: Float32Array;
  /** Rows of weights whose maxima are known, from the first. */
  #seen = 0;
  #update = () => {};
  #subscribe = createSubscriber((update) => {
    this.#update = update;
    return () => {
      this.#update = () => {};
      this.#release();
    };
  });

  constructor(
    json: FactorsJson,
    /** Of the view: without the column of a sink. */
    readonly causal: boolean,
    readonly engine: Engine = shared,
  ) {
    const { queries, keys } = json;
    const [rows, dim] = queries.shape;
    const floats = (array: NdArray) => array.data as Float32Array;
    this.factors = {
      queries: floats(queries),
      keys: floats(keys),
      dim,
      queryCount: rows,
      keyCount: keys.shape[0],
      normaliser: floats(json.normaliser),
      sink: json.sink && floats(json.sink),
      mask: json.mask && (json.mask.data as Uint8Array),
      causal: json.causal,
      window: json.window,
      offset: json.offset,
      softcap: json.softcap,
    };
    this.queries = rows;
    this.keys = keys.shape[0] + (json.sink ? 1 : 0);
    [this.precision, this.error] = [json.precision, json.error];
    this.#maxima = new Float32Array(rows);
  }

  line(direction: Direction, index: number): Line {
    if (direction === 'from') {
      const values = new Float64Array(visible(this, index));
      math.logs(this.factors, index, 0, values.length, values);
      for (let j = 0; j < values.length; j++) values[j] = Math.exp(values[j]);
      return { start: 0, values };
    }
    const start = this.causal ? index : 0;
    const one = new Float64Array(1);
    const values = Float64Array.from({ length: this.queries - start }, (_, i) => {
      math.logs(this.factors, start + i, index, index + 1, one);
      return Math.exp(one[0]);
    });
    return { start, values };
  }

  /** As far as it is computed (`Tile.done`); undefined before its first rows are. */
  tile(
    step: number,
    rows: Range = [0, this.queries],
    cols: Range = [0, this.keys],
    pooling: Pooling = 'max',
  ): Tile | undefined {
    this.#subscribe();
    const whole = (range: Range, count: number) =>
      [Math.floor(range[0] / step) * step, Math.min(count, Math.ceil(range[1] / step) * step)] as const;
    const rectangle = { rows: whole(rows, this.queries), cols: whole(cols, this.keys), step, pooling };
    const name = JSON.stringify(rectangle);
    let tile = this.#tiles.get(name);
    if (!tile) {
      const { rows, cols } = rectangle;
      const [down, across] = [Math.ceil((rows[1] - rows[0]) / step), Math.ceil((cols[1] - cols[0]) / step)];
      const origin = { query: rows[0], key: cols[0] };
      tile = { values: new Float32Array(down * across), rows: down, cols: across, step, origin, done: 0 };
      this.#tiles.set(name, tile);
      if (this.#tiles.size > KEPT) this.#tiles.delete(this.#tiles.keys().next().value!);
      this.#head ??= this.engine.add(this.factors, (band) => this.#receive(band));
      this.engine.ask(this.#head, name, rectangle);
    }
    return tile.done === 0 ? undefined : tile;
  }

  peak(rows: Range, cols: Range): Cell | undefined {
    let best: Cell | undefined;
    let value = -Infinity;
    const line = new Float64Array(Math.max(0, Math.min(cols[1], this.keys) - cols[0]));
    for (let query = rows[0]; query < Math.min(rows[1], this.queries); query++) {
      const stop = Math.min(cols[1], visible(this, query));
      if (stop <= cols[0]) continue;
      math.logs(this.factors, query, cols[0], stop, line);
      for (let i = 0; i < stop - cols[0]; i++) {
        if (best && !(line[i] > value)) continue;
        best = { query, key: cols[0] + i };
        value = line[i];
      }
    }
    return best;
  }

  /** The largest weight of each row, once a tile of the whole head is computed. */
  maxima(): ArrayLike<number> | undefined {
    this.#subscribe();
    return this.#seen >= this.queries ? this.#maxima : undefined;
  }

  #receive(band: Band): void {
    const tile = this.#tiles.get(band.name);
    if (!tile) return;
    tile.values.set(band.cells, band.first * tile.cols);
    const { cols, rows } = tile;
    // A new object over the same numbers: what reads it sees that something has come.
    this.#tiles.set(band.name, { ...tile, done: band.done ? rows : band.first + band.cells.length / cols });
    if (tile.origin.key === 0 && cols * tile.step >= this.keys) {
      const start = tile.origin.query + band.first * tile.step;
      this.#maxima.set(band.maxima, start);
      if (start <= this.#seen) this.#seen = Math.max(this.#seen, start + band.maxima.length);
    }
    this.#update();
  }

  /** Nobody looks any more: what is unfinished is asked for anew. */
  #release(): void {
    if (this.#head !== undefined) this.engine.remove(this.#head);
    this.#head = undefined;
    for (const [name, tile] of this.#tiles) if (tile.done! < tile.rows) this.#tiles.delete(name);
  }
}
