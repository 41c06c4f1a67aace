/** Thumbnails of heads that stay in the kernel, one after the other, once nothing else is waited for. */
import type { Figure } from '../figure.svelte';
import type { Tile } from '../pattern/pattern';
import { Remote, type RemoteJson } from '../pattern/remote';

export interface AskedThumbs {
  figure: Figure;
  view: string;
  /** Null where heads are here. */
  heads: RemoteJson[] | null;
  /** Number of the first of them among those of the view. */
  offset: number;
  causal: boolean;
  step: number;
  /** The large map is complete. */
  ready: boolean;
}

export class RemoteThumbs {
  #asked: () => AskedThumbs;
  #heads = $derived.by(() => this.#asked().heads);
  #patterns = $derived.by(() => {
    const heads = this.#heads;
    if (!heads) return [];
    const { figure, view, offset, causal } = this.#asked();
    const ask: Remote['ask'] = (name, args, how) => figure.ask(view, name, args, how);
    return heads.map((json, i) => new Remote(ask, json, causal, [offset + i], true));
  });
  #step = $derived.by(() => this.#asked().step);
  #ready = $derived.by(() => this.#asked().ready);
  /** As far as they are here; what is not has no rows done. */
  tiles = $derived.by((): Tile[] => {
    let next = this.#ready;
    return this.#patterns.map((pattern) => {
      const { queries, keys } = pattern;
      const step = this.#step;
      const [rows, cols] = [Math.ceil(queries / step), Math.ceil(keys / step)];
      const blank: Tile = {
        values: new Float32Array(rows * cols),
        rows,
        cols,
        step,
        origin: { query: 0, key: 0 },
        done: 0,
      };
      if (!next && !pattern.begun) return blank;
      const tile = pattern.tile(step);
      next &&= tile !== undefined && tile.done === tile.rows;
      return tile ?? blank;
    });
  });

  constructor(asked: () => AskedThumbs) {
    this.#asked = asked;
  }
}
