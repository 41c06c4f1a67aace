/** Tiles that come in bands of rows: kept while they are of use, and read as far as they are here. */
import { createSubscriber } from 'svelte/reactivity';
import { steps, whole, type Edges, type Pooling, type Range, type Tile } from './pattern';
import type { Cut } from './arithmetic';

/** Cells that are kept, of all tiles together: 32 MB. */
const KEPT = 8e6;

/** Asks for a tile, by its name. */
type Ask = (name: string, cut: Cut, tile: Tile) => void;

/** What has come of the tiles of one pattern; whoever has read one in a `$derived` is run again when more of it comes. */
export class Tiles {
  #tiles = new Map<string, Tile>();
  #update = () => {};
  #maxima?: Float32Array;
  /** Rows of weights whose maxima are known, from the first. */
  #seen = 0;

  /** Read whatever is here, and be run again. */
  readonly subscribe: () => void;

  constructor(
    readonly queries: number,
    readonly keys: number,
    readonly ask: Ask,
    /** Nobody looks any more. */
    released: () => void,
  ) {
    this.subscribe = createSubscriber((update) => {
      this.#update = update;
      return () => {
        this.#update = () => {};
        // What is unfinished is asked for anew.
        for (const [name, tile] of this.#tiles) if (tile.done! < tile.rows) this.#tiles.delete(name);
        released();
      };
    });
  }

  /** Squares of weights; undefined before the first rows are here. */
  squares(step: number, rows: Range, cols: Range, pooling: Pooling): Tile | undefined {
    const [down, across] = [whole(rows, step, this.queries), whole(cols, step, this.keys)];
    const name = `${pooling} ${step} ${down} ${across}`;
    return this.#get(name, step, pooling, () => ({ rows: steps(down, step), cols: steps(across, step) }));
  }

  cells(edges: Edges, pooling: Pooling): Tile | undefined {
    const name = `${pooling} ${Array.from(edges.rows)} ${Array.from(edges.cols)}`;
    return this.#get(name, 1, pooling, () => edges, edges);
  }

  /** More of a tile has come: rows of cells from `first`, and the largest weights of the rows of weights in them. */
  receive(name: string, first: number, cells: Float32Array, maxima?: Float32Array): void {
    const tile = this.#tiles.get(name);
    if (!tile) return;
    tile.values.set(cells, first * tile.cols);
    // A new object over the same numbers: what reads it sees that something has come.
    this.#tiles.set(name, { ...tile, done: first + cells.length / tile.cols });
    if (maxima && !tile.edges && tile.origin.key === 0 && tile.cols * tile.step >= this.keys) {
      const start = tile.origin.query + first * tile.step;
      (this.#maxima ??= new Float32Array(this.queries)).set(maxima, start);
      if (start <= this.#seen) this.#seen = Math.max(this.#seen, start + maxima.length);
    }
    this.#update();
  }

  /** It cannot be had; asked for again, it is tried again. */
  forget(name: string): void {
    this.#tiles.delete(name);
  }

  /** Something else that was read under `subscribe` has changed. */
  changed(): void {
    this.#update();
  }

  maxima(): ArrayLike<number> | undefined {
    this.subscribe();
    return this.#seen >= this.queries ? this.#maxima : undefined;
  }

  #get(name: string, step: number, pooling: Pooling, edgesOf: () => Edges, own?: Edges): Tile | undefined {
    this.subscribe();
    let tile = this.#tiles.get(name);
    if (tile) {
      // Read again: it is the last to go.
      this.#tiles.delete(name);
      this.#tiles.set(name, tile);
    } else {
      const edges = edgesOf();
      const [rows, cols] = [edges.rows.length - 1, edges.cols.length - 1];
      const origin = { query: edges.rows[0], key: edges.cols[0] };
      tile = { values: new Float32Array(rows * cols), rows, cols, step, origin, done: 0, edges: own };
      this.#tiles.set(name, tile);
      this.#drop();
      this.ask(name, { rows: Int32Array.from(edges.rows), cols: Int32Array.from(edges.cols), pooling }, tile);
    }
    return tile.done === 0 ? undefined : tile;
  }

  /** The oldest go, but for the last one and those that are still coming. */
  #drop(): void {
    let kept = 0;
    const newest = [...this.#tiles].reverse();
    newest.forEach(([name, tile], i) => {
      kept += tile.rows * tile.cols;
      if (i && kept > KEPT && tile.done === tile.rows) this.#tiles.delete(name);
    });
  }
}
