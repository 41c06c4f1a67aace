/** The tiles that a map is drawn from: what is asked for, and what stands for it until it is here. */
import { part } from '../pattern/dense';
import type { Pattern, Pooling, Tile } from '../pattern/pattern';
import { covers, regionOf, type Plan, type Region } from './heatmap';
import type { MapZoom } from './mapzoom.svelte';

/** What there is to draw. */
export interface Given {
  pattern: Pattern | undefined;
  /** The pattern is on its way. */
  awaited: boolean;
  preview: Tile | undefined;
  /** Of the whole. */
  plan: Plan;
  rule: Pooling;
}

const isDone = (tile: Tile) => (tile.done ?? tile.rows) >= tile.rows;

/** Made while a component is set up. */
export class MapTiles {
  #given: () => Given;
  #zoom: MapZoom;
  /** The region that was asked for, and the tile that was last complete: it stands until the next one is. */
  #around: Region | undefined;
  #last: { tile: Tile; pattern: Pattern | undefined; rule: Pooling } | undefined;

  /** Of the whole. */
  overview = $derived.by(() => {
    const { pattern, plan, rule } = this.#given();
    return pattern?.tile(plan.step, undefined, undefined, rule);
  });
  /** The overview is here. */
  whole = $derived(this.overview !== undefined && isDone(this.overview));
  /** What is shown. */
  sight = $derived.by((): Region => {
    const { step, from, to } = this.#zoom.plan;
    return { step, rows: [from.query, to.query], cols: [from.key, to.key] };
  });
  #region = $derived.by(() => {
    if (!this.#zoom.on) return undefined;
    const { to } = this.#given().plan;
    return (this.#around = regionOf(this.#around, this.sight, to.query, to.key));
  });
  #asked = $derived.by(() => {
    const { pattern, preview, rule } = this.#given();
    const region = this.#region;
    return region ? pattern?.tile(region.step, region.rows, region.cols, rule) : (this.overview ?? preview);
  });
  /** What is drawn. */
  tile = $derived.by(() => {
    const asked = this.#asked;
    if (!this.#zoom.on || (asked && covers(asked, this.sight))) {
      const { pattern, rule } = this.#given();
      if (this.#zoom.on && asked) this.#last = { tile: asked, pattern, rule };
      return asked;
    }
    const before = this.standing();
    return before && covers(before, this.sight) ? before : asked;
  });
  /** It, once all of it is here. */
  complete = $derived.by(() => {
    return this.tile && this.tile !== this.preview && isDone(this.tile) ? this.tile : undefined;
  });
  busy = $derived.by(() => (this.#given().pattern ? !this.complete : this.#given().awaited));

  constructor(given: () => Given, zoom: MapZoom) {
    this.#given = given;
    this.#zoom = zoom;
  }

  /** A part is shown, and not the whole. */
  get part(): boolean {
    return this.#zoom.on;
  }

  get preview(): Tile | undefined {
    return this.#given().preview;
  }

  /** The part that was last complete, of the same numbers. */
  standing(): Tile | undefined {
    const { pattern, rule } = this.#given();
    return this.#last?.pattern === pattern && this.#last?.rule === rule ? this.#last?.tile : undefined;
  }

  /** What a tile has of what is shown. */
  inSight(tile: Tile): Tile {
    return this.#zoom.on ? part(tile, this.sight.rows, this.sight.cols) : tile;
  }
}
