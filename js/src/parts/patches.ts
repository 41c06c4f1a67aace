/** Tokens that are patches of images: where each stands, what is said of it, and a picture as shading under weights. No DOM. */
import type { LazyArray } from '../figure.svelte';
import type { Cell, Direction, Line } from '../pattern/pattern';
import type { TokensJson } from '../views/types';
import type { NdArray, Numbers } from '../wire';

/** One image of an attention view, as mechviz/views/_images.py sends it. */
export interface ImageJson {
  /** Position of its first patch among the queries, and among the keys; null where there are none of it. */
  query: number | null;
  key: number | null;
  rows: number;
  columns: number;
  /** [row, column] or [row, column, 3], 0 … 255; null where only its patches are known. */
  pixels: NdArray | LazyArray | null;
  /** Width and height of what was given, before it was made smaller. */
  size: [number, number] | null;
  /** What was done to the numbers: "stretched from −2.1 … 2.6". */
  said: string;
}

/** How an image is drawn: its weights shaded by the picture, the picture alone, the weights alone. */
export const SHOWN = ['both', 'picture', 'weights'] as const;
export type Shown = (typeof SHOWN)[number];

export interface Place {
  image: number;
  row: number;
  column: number;
}

/** Which patch a token is; undefined for text. */
export function placeOf(tokens: Pick<TokensJson, 'patches'>, position: number): Place | undefined {
  const image = tokens.patches?.findIndex(([start, rows, columns]) => {
    return position >= start && position < start + rows * columns;
  });
  if (image === undefined || image < 0) return undefined;
  const [start, , columns] = tokens.patches![image];
  return { image, row: Math.floor((position - start) / columns), column: (position - start) % columns };
}

/** Its first patch among the tokens that are asked about, and among those at the other end. */
export function startsOf(image: ImageJson, direction: Direction): { own: number | null; other: number | null } {
  const { query, key } = image;
  return direction === 'by' ? { own: key, other: query } : { own: query, other: key };
}

/** Images among units that tokens were merged to; one whose patches were merged is none. `of`: the unit of each token. */
export function imagesIn(
  images: ImageJson[] | undefined,
  units: { rows: Merged; cols: Merged } | undefined,
): ImageJson[] | undefined {
  if (!units) return images;
  return images?.flatMap((image) => {
    const [query, key] = [unitOf(units.rows, image.query), unitOf(units.cols, image.key)];
    return query === null && key === null ? [] : [{ ...image, query, key }];
  });
}

interface Merged {
  of: ArrayLike<number>;
  tokens: Pick<TokensJson, 'patches'>;
}

function unitOf({ of, tokens }: Merged, start: number | null): number | null {
  const unit = start === null ? undefined : of[start];
  return tokens.patches?.find(([first]) => first === unit)?.[0] ?? null;
}

/** The patch of an image that stands at a position. */
export function patchAt(image: ImageJson, start: number | null, position: number | undefined): number | undefined {
  if (start === null || position === undefined) return undefined;
  const patch = position - start;
  return patch >= 0 && patch < image.rows * image.columns ? patch : undefined;
}

/**
 * What pointing at a patch points at: the patch is what is asked about, or, where `held` is asked about already, what that
 * reads (is read by).
 */
export function pointing(
  image: ImageJson,
  patch: number,
  focus: { direction: Direction; subject: number },
  held: boolean,
): Partial<Cell> | { position: number } {
  const { own, other } = startsOf(image, focus.direction);
  if (own !== null && !(held && other !== null)) return { position: own + patch };
  const position = other! + patch;
  return focus.direction === 'by' ? { query: position, key: focus.subject } : { query: focus.subject, key: position };
}

/** The patches of an image that a row or column has weights for (the others are masked), half open, and these. */
export function weightsOf(
  image: ImageJson,
  start: number | null,
  line: Line | undefined,
): { from: number; to: number; values: number[] } {
  if (start === null || !line) return { from: 0, to: 0, values: [] };
  const from = Math.max(0, line.start - start);
  const to = Math.max(from, Math.min(image.rows * image.columns, line.start + line.values.length - start));
  const first = start + from - line.start;
  return { from, to, values: Array.from({ length: to - from }, (_, i) => line.values[first + i]) };
}

/** The next patch that an arrow key goes to; the edges hold. */
export function walked(image: Pick<ImageJson, 'rows' | 'columns'>, patch: number, key: string): number | undefined {
  const { rows, columns } = image;
  const [row, column] = [Math.floor(patch / columns), patch % columns];
  const to: Record<string, [number, number]> = {
    ArrowLeft: [row, column - 1],
    ArrowRight: [row, column + 1],
    ArrowUp: [row - 1, column],
    ArrowDown: [row + 1, column],
    Home: [row, 0],
    End: [row, columns - 1],
    PageUp: [0, column],
    PageDown: [rows - 1, column],
  };
  const next = to[key];
  if (!next) return undefined;
  const clamp = (value: number, most: number) => Math.max(0, Math.min(most, value));
  return clamp(next[0], rows - 1) * columns + clamp(next[1], columns - 1);
}

/** Width and height in CSS pixels within a square of `most`; what it has of the picture's shape, else patches are square. */
export function sized(image: ImageJson, most: number): [width: number, height: number] {
  const [wide, high] = image.size ?? [image.columns, image.rows];
  const scale = most / Math.max(wide, high);
  return [Math.max(1, Math.round(wide * scale)), Math.max(1, Math.round(high * scale))];
}

/** A picture drawn in `width` × `height` pixels: red, green and blue, one after the other, 0 … 255. */
export function resampled({ data, shape }: NdArray, width: number, height: number): Float32Array {
  const [rows, columns, channels = 1] = shape;
  const out = new Float32Array(width * height * 3);
  const [down, across] = [taps(rows, height), taps(columns, width)];
  for (let y = 0; y < height; y++) {
    const [y0, y1, fy] = [down.low[y], down.high[y], down.share[y]];
    for (let x = 0; x < width; x++) {
      const [x0, x1, fx] = [across.low[x], across.high[x], across.share[x]];
      for (let c = 0; c < 3; c++) {
        const from = channels === 1 ? 0 : c;
        const at = (row: number, column: number) => data[(row * columns + column) * channels + from];
        const top = at(y0, x0) + (at(y0, x1) - at(y0, x0)) * fx;
        const bottom = at(y1, x0) + (at(y1, x1) - at(y1, x0)) * fx;
        out[(y * width + x) * 3 + c] = top + (bottom - top) * fy;
      }
    }
  }
  return out;
}

function taps(size: number, count: number): { low: Int32Array; high: Int32Array; share: Float32Array } {
  const [low, high, share] = [new Int32Array(count), new Int32Array(count), new Float32Array(count)];
  for (let i = 0; i < count; i++) {
    const at = Math.max(0, Math.min(size - 1, ((i + 0.5) * size) / count - 0.5));
    low[i] = Math.floor(at);
    high[i] = Math.min(size - 1, low[i] + 1);
    share[i] = at - low[i];
  }
  return { low, high, share };
}

/** Levels that shading adds and takes at most. */
const DEPTH = 36;

/**
 * How much lighter or darker each pixel is drawn for the picture to be seen under weights: its brightness against that of
 * its surroundings, so that dark pictures and pale ones shade alike and a patch keeps about the colour of its weight.
 */
export function shading(rgb: Float32Array, width: number, height: number, rows: number, columns: number): Int8Array {
  const grey = new Float32Array(width * height);
  for (let i = 0; i < grey.length; i++) {
    grey[i] = 0.299 * rgb[3 * i] + 0.587 * rgb[3 * i + 1] + 0.114 * rgb[3 * i + 2];
  }
  const around = blurred(grey, width, height, Math.max(height / rows, width / columns) * 2);
  const detail = grey.map((value, i) => value - around[i]);
  let squares = 0;
  for (const value of detail) squares += value * value;
  const spread = Math.sqrt(squares / Math.max(1, detail.length));
  // A picture of one colour has nothing to shade with: its noise is not made into a picture.
  const gain = spread < 1.5 ? 0 : 16 / spread;
  return Int8Array.from(detail, (value) => Math.round(DEPTH * Math.tanh((value * gain) / DEPTH)));
}

/** The mean of squares of side 2 · radius + 1, twice. */
function blurred(values: Float32Array, width: number, height: number, radius: number): Float32Array {
  const reach = Math.max(1, Math.round(radius));
  let out = values;
  for (let pass = 0; pass < 2; pass++) {
    out = means(out, height, width, 1, width, reach);
    out = means(out, width, height, width, 1, reach);
  }
  return out;
}

/** Running means along one axis: `lines` lines of `count` values that stand `step` apart, lines `apart`. */
function means(
  values: Float32Array,
  lines: number,
  count: number,
  step: number,
  apart: number,
  reach: number,
): Float32Array {
  const out = new Float32Array(values.length);
  for (let line = 0; line < lines; line++) {
    const start = line * apart;
    let [sum, low, high] = [0, 0, 0];
    for (let i = 0; i < count; i++) {
      while (high < Math.min(count, i + reach + 1)) sum += values[start + high++ * step];
      while (low < i - reach) sum -= values[start + low++ * step];
      out[start + i * step] = sum / (high - low);
    }
  }
  return out;
}

/**
 * Shade pixels that are drawn (ABGR): lighter and darker by as much as the colour has room for, so that its hue and its
 * place on the scale stay.
 */
export function shade(pixels: Uint32Array, shades: Int8Array): void {
  for (let i = 0; i < shades.length; i++) {
    const pixel = pixels[i];
    if (!pixel) continue;
    const red = pixel & 255;
    const green = (pixel >> 8) & 255;
    const blue = (pixel >> 16) & 255;
    const most = Math.max(red, green, blue);
    const room = shades[i] > 0 ? 255 - most : most / 2;
    const by = Math.round(shades[i] * Math.min(1, room / DEPTH));
    const r = Math.max(0, red + by);
    const g = Math.max(0, green + by);
    const b = Math.max(0, blue + by);
    pixels[i] = ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  }
}

/** Σ, and the largest error of the sum. */
export function summed(values: Numbers | number[], errorOf: (value: number) => number): [sum: number, error: number] {
  let [sum, error] = [0, 0];
  for (const value of values) {
    sum += value;
    error += errorOf(value);
  }
  return [sum, error];
}
