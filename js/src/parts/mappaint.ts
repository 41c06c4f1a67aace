/** Painting a map, or a part of it, from the tiles that are here. */
import type { Range, Tile } from '../pattern/pattern';
import { edgesIn, paint, pending, render, type Look, type Pixels } from './cells';
import { beside, type Plan } from './heatmap';
import type { MapTiles } from './maptiles.svelte';

export interface Painted {
  tiles: MapTiles;
  plan: Plan;
  look: Look;
  /** The largest weight of each query, where rows have their own scale. */
  maxima: ArrayLike<number> | undefined;
  /** Device pixels to a CSS pixel. */
  ratio: number;
}

/** Colours of cells that were drawn: of a move only the cells that come into sight are looked up. */
export type Known = WeakMap<Tile['values'], Pick<Painted, 'look' | 'maxima'> & { colors: Uint32Array }>;

export function paintMap(canvas: HTMLCanvasElement, painted: Painted, known: Known): void {
  const { plan, ratio } = painted;
  const { tile } = painted.tiles;
  render(canvas, Math.round(plan.width * ratio), Math.round(plan.height * ratio), (pixels) => {
    const done = tile?.done ?? tile?.rows ?? 0;
    const complete = tile && done >= tile.rows;
    if (!complete) beneath(pixels, painted, known);
    if (!tile) return;
    if (!complete && done) pixels.data.fill(0, 0, placed(tile, painted).y[done] * pixels.width);
    draw(pixels, tile, painted, known);
  });
}

/** What is known of the part until it is here: of what was last complete, then of the whole, else that it is awaited. */
function beneath(pixels: Pixels, painted: Painted, known: Known): void {
  const { tile, overview, preview, whole, sight } = painted.tiles;
  const before = painted.tiles.standing();
  const drawn = whole && overview !== tile;
  const awaited = tile ?? overview;
  if (!drawn && awaited) pending(pixels, awaited, 0, placed(awaited, painted), painted.look);
  if (!drawn && preview && preview !== tile) draw(pixels, preview, painted, known);
  // Each pixel once, as far as that goes: while a part is moved this is done for every frame.
  if (overview && overview !== tile) {
    for (const [rows, cols] of beside(sight.rows, sight.cols, before))
      draw(pixels, overview, painted, known, rows, cols);
  }
  if (before) draw(pixels, before, painted, known);
}

/** Where the cells of a tile are drawn. */
function placed({ rows, cols, step, origin }: Tile, { plan, ratio }: Painted) {
  const [width, height] = [Math.round(plan.width * ratio), Math.round(plan.height * ratio)];
  const size = (plan.cell / plan.step) * ratio;
  const gap = step === plan.step ? plan.gap * Math.max(1, Math.round(ratio)) : 0;
  const x = edgesIn(cols, origin.key, step, plan.from.key, size, width);
  return { x, y: edgesIn(rows, origin.query, step, plan.from.query, size, height), gap, ratio };
}

/** What a tile has of these rows and columns. */
function draw(
  pixels: Pixels,
  tile: Tile,
  painted: Painted,
  known: Known,
  inRows: Range = painted.tiles.sight.rows,
  inCols: Range = painted.tiles.sight.cols,
): void {
  const { look, maxima } = painted;
  const { part } = painted.tiles;
  const has = ([from, to]: Range, origin: number, count: number): Range => [
    Math.max(0, Math.floor((from - origin) / tile.step)),
    Math.min(count, Math.ceil((to - origin) / tile.step)),
  ];
  const rows = has(inRows, tile.origin.query, tile.done ?? tile.rows);
  const cols = has(inCols, tile.origin.key, tile.cols);
  if (rows[0] >= rows[1] || cols[0] >= cols[1]) return;
  const largest =
    maxima && Float64Array.from({ length: rows[1] - rows[0] }, (_, r) => largestOf(maxima, tile, rows[0] + r));
  const colors = part && (largest || !look.perRow) ? colorsOf(tile, painted, known) : undefined;
  const looks = part && !largest ? { ...look, padding: false } : look;
  paint(pixels, tile, placed(tile, painted), looks, { rows, cols, known: largest, colors });
}

function colorsOf({ values }: Tile, { look, maxima }: Painted, known: Known): Uint32Array {
  let found = known.get(values);
  if (found?.look !== look || found.maxima !== maxima) {
    found = { look, maxima, colors: new Uint32Array(values.length) };
    known.set(values, found);
  }
  return found.colors;
}

/** The largest weight of the rows of weights in a row of cells. */
function largestOf(maxima: ArrayLike<number>, { origin, step }: Tile, row: number): number {
  let most = 0;
  const from = origin.query + row * step;
  for (let i = from; i < Math.min(maxima.length, from + step); i++) most = Math.max(most, maxima[i]);
  return most;
}
