/** Painting heads as thumbnails: one, or all that are in sight, for a few milliseconds at a time. */
import { pool } from '../pattern/dense';
import type { Tile } from '../pattern/pattern';
import type { NdArray } from '../wire';
import { edges, paint, pending, type Look, type Pixels } from './cells';
import { cornerOf, type GridPlan, type Place } from './headgrid';

/** Milliseconds that thumbnails are painted for before the page has its turn. */
const SLICE = 6;

export interface Thumbs {
  /** The whole of each head, pooled; none while they are on their way. */
  tiles: Tile[];
  lookOf(index: number): Look;
  causal: boolean;
  signed: boolean;
  /** Device pixels to a CSS pixel. */
  ratio: number;
}

/** One head's thumbnail, out of all of them. */
export function thumbOf(thumbs: NdArray, step: number, index: number): Tile {
  const [, rows, cols] = thumbs.shape;
  const values = thumbs.data.subarray(index * rows * cols, (index + 1) * rows * cols);
  return { values, rows, cols, step, origin: { query: 0, key: 0 } };
}

/** How many cells of a tile, down and across, make one of a picture of this size in CSS pixels. */
export function factorFor({ tiles: [tile], ratio }: Thumbs, width: number, height: number): number {
  return Math.max(1, Math.ceil(tile.cols / (width * ratio)), Math.ceil(tile.rows / (height * ratio)));
}

/** One head, with its corner and its size in CSS pixels. */
export function paintHead(
  pixels: Pixels,
  thumbs: Thumbs,
  index: number,
  [x, y]: readonly [number, number],
  [width, height]: readonly [number, number],
): void {
  const { tiles, lookOf, causal, signed, ratio } = thumbs;
  const { rows, done = rows } = tiles[index];
  const tile = pool(tiles[index], factorFor(thumbs, width, height), causal, signed);
  // Edges are rounded, not sizes, so that at a ratio of 1.5 no thumbnail reaches past the canvas.
  const device = (css: number) => Math.round(css * ratio);
  const cells = {
    x: edges(tile.cols, device(x + width) - device(x), device(x)),
    y: edges(tile.rows, device(y + height) - device(y), device(y)),
    gap: 0,
    ratio,
  };
  const look = lookOf(index);
  const here = Math.ceil((done * tile.rows) / rows);
  paint(pixels, { ...tile, rows: here }, cells, look);
  pending(pixels, tile, here, cells, look);
}

/**
 * The heads that are in sight, row by row, on a canvas whose upper edge is at `top` of the plan; whatever stood there
 * before stands until it is painted over. Returns the function that stops it.
 */
export function paintThumbs(
  canvas: HTMLCanvasElement,
  thumbs: Thumbs,
  plan: GridPlan,
  places: Place[],
  [top, height]: readonly [top: number, height: number],
  onbusy: (busy: boolean) => void,
): () => void {
  const device = (css: number) => Math.round(css * thumbs.ratio);
  const [wide, high] = [Math.max(1, device(plan.width)), Math.max(1, device(height))];
  if (canvas.width !== wide) canvas.width = wide;
  if (canvas.height !== high) canvas.height = high;
  // Rows that are cut off at the top and at the bottom are painted whole.
  const margin = device(plan.pitchDown + plan.top);
  const image = new ImageData(wide, high + 2 * margin);
  const pixels = { data: new Uint32Array(image.data.buffer), width: wide };
  const context = canvas.getContext('2d')!;
  let [next, drawn, frame] = [0, 0, 0];
  const slice = () => {
    const end = performance.now() + SLICE;
    do {
      const place = places[next++];
      if (!place) break;
      const { x, y } = cornerOf(plan, place);
      paintHead(pixels, thumbs, place.index, [x, y - top + margin / thumbs.ratio], [plan.across, plan.down]);
    } while (performance.now() < end);
    const done = next >= places.length;
    const { y } = cornerOf(plan, places[next] ?? { row: 0, column: 0 });
    const until = done ? high : Math.max(drawn, device(y - top));
    context.putImageData(image, 0, -margin, 0, drawn + margin, wide, until - drawn);
    drawn = until;
    onbusy(!done);
    if (!done) frame = requestAnimationFrame(slice);
  };
  slice();
  return () => cancelAnimationFrame(frame);
}
