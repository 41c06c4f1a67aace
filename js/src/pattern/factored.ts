/** Heads held as queries and keys: rows, columns and cells are computed at once, pooled rectangles in the background. */
import type { NdArray, Precision } from '../wire';
import type { Held, Read } from './arithmetic';
import { engine as shared, type Engine } from './engine';
import { boundOf, leastExact, Local, readOf } from './local';
import type { Edges, Pattern, Pooling, Range, Reading, Tile } from './pattern';
import { Tiles } from './tiles';

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
  /** The last two columns are a bias of each key. */
  biased?: boolean;
  /** Largest distance of a weight from the model's. */
  error: number;
  precision: 'float16' | 'float32';
}

export class Factored extends Local {
  readonly precision: Precision;
  readonly error: number;
  readonly engine: Engine;
  #reader?: number;
  #tiles = new Tiles(
    this.queries,
    this.keys,
    (name, cut) => {
      this.#reader ??= this.engine.add(this.held, (band) =>
        this.#tiles.receive(band.name, band.first, band.cells, band.maxima),
      );
      this.engine.ask(this.#reader, name, cut);
    },
    () => {
      if (this.#reader !== undefined) this.engine.remove(this.#reader);
      this.#reader = undefined;
    },
  );

  private constructor(read: Read, queries: number, keys: number, precision: Precision, error: number, engine: Engine) {
    super(read, queries, keys);
    [this.precision, this.error, this.engine] = [precision, error, engine];
  }

  /** One head; `causal` is of the view: without the column of a sink. */
  static of(json: FactorsJson, causal: boolean, engine: Engine = shared): Factored {
    const { queries, keys } = json;
    const [rows, dim] = queries.shape;
    const floats = (array: NdArray) => array.data as Float32Array;
    const head: Held = {
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
    const read: Read = { heads: [head], columns: null, rows: null, combine: 'mean', causal, signed: false };
    return new Factored(read, rows, keys.shape[0] + (json.sink ? 1 : 0), json.precision, json.error, engine);
  }

  /** As far as it is computed (`Tile.done`); undefined before its first rows are. */
  tile(
    step: number,
    rows: Range = [0, this.queries],
    cols: Range = [0, this.keys],
    pooling: Pooling = 'max',
  ): Tile | undefined {
    return this.#tiles.squares(step, rows, cols, pooling);
  }

  cut(edges: Edges, pooling: Pooling = 'max'): Tile | undefined {
    return this.#tiles.cells(edges, pooling);
  }

  /** The largest weight of each row, once a tile of the whole head is computed. */
  maxima(): ArrayLike<number> | undefined {
    return this.#tiles.maxima();
  }

  /** Others may be held as weights: a page sends every head in the form of fewer bytes. */
  read(reading: Reading, others: Pattern[] = []): Factored {
    const all = [this, ...others] as Local[];
    const bound = boundOf(all, reading) ?? 0;
    return new Factored(readOf(all, reading), this.queries, this.keys, leastExact(all), bound, this.engine);
  }
}
