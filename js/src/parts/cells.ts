/** Painting tiles of numbers as pixels, for heat maps and thumbnails. No DOM but for reading the theme's colours. */
import { indexAt, lut, parseColor, type Lut, type Ramp, type Rgb } from '../color';
import { lastColumn } from '../pattern/dense';
import type { Range, Tile } from '../pattern/pattern';
import { positions, within, type Scale } from '../scale';

/** The colours of a theme that cells are drawn with. */
export interface Palette {
  lut: Lut;
  plate: number;
  /** Hatches and dots. */
  mark: number;
  fg: number;
  foreground: Rgb;
}

/** How numbers become colours. */
export interface Look {
  palette: Palette;
  scale: Scale;
  /** Every row against its own largest value. */
  perRow: boolean;
  causal: boolean;
  /** Rows of nothing but zeros are padding: in a row of probabilities they cannot occur. */
  padding: boolean;
  /** Keys that a query can see at most, itself among them: what lies before them is masked, too. */
  window?: number;
  /** The last key is a sink, which every query sees; of the others none behind it, as under `causal`. */
  sink?: number;
  /** 1 for keys that are left out: not drawn, or in their true colour on a part of the cell. */
  out?: Uint8Array;
  hides?: boolean;
  /** 1 for queries whose rows were taken out. */
  gone?: Uint8Array;
  /** How far beyond an end of the scale, as a share of it, rounding on the way may have put a number that is within. */
  slack?: number;
}

/** Where cells stand, in device pixels: cell i reaches from edge i to edge i + 1, less the gap. */
export interface Cells {
  x: Int32Array;
  y: Int32Array;
  gap: number;
  /** Device pixels to a CSS pixel. */
  ratio: number;
}

/** What of a tile is painted, and what is known of it already. */
export interface Part {
  /** Rows and columns of cells. */
  rows: Range;
  cols: Range;
  /** The largest sizes of these rows, where the tile has not all of them. */
  known?: ArrayLike<number>;
  /** Of every cell of the tile the colour that it was painted in last time, 0 where it was not: then it is found again. */
  colors?: Uint32Array;
}

export interface Pixels {
  data: Uint32Array;
  width: number;
}

export function paletteOf(host: Element, ramp: Ramp): Palette {
  const style = getComputedStyle(host);
  const color = (name: string, otherwise: Rgb) => parseColor(style.getPropertyValue(name)) ?? otherwise;
  const foreground = color('--mv-fg', [22, 25, 29]);
  return {
    lut: lut(host, ramp),
    plate: packed(color('--mv-plate', [242, 244, 246])),
    mark: packed(color('--mv-line2', [134, 141, 150])),
    fg: packed(foreground),
    foreground,
  };
}

function packed([r, g, b]: Rgb): number {
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/** Edges of `count` cells over `size` pixels, from `start`: every cell is drawn, some a pixel wider than others. */
export function edges(count: number, size: number, start = 0): Int32Array {
  return Int32Array.from({ length: count + 1 }, (_, i) => start + Math.round((i * size) / count));
}

/** Where the cells of a tile stand in a picture whose corner is at weight `from`, `size` pixels to a weight; cut at its ends. */
export function edgesIn(
  count: number,
  origin: number,
  step: number,
  from: number,
  size: number,
  most: number,
): Int32Array {
  return Int32Array.from({ length: count + 1 }, (_, i) =>
    Math.max(0, Math.min(most, Math.round((origin + i * step - from) * size))),
  );
}

const all = (tile: Tile): Part => ({ rows: [0, tile.rows], cols: [0, tile.cols] });

/** The largest size of each row (NaN and infinity aside): what a row is measured against when every row has its own scale. */
export function rowMaxima(tile: Tile, causal: boolean, { rows, cols } = all(tile)): Float64Array {
  const maxima = new Float64Array(rows[1] - rows[0]);
  for (let r = rows[0]; r < rows[1]; r++) {
    const last = Math.min(causal ? lastColumn(tile, r) : tile.cols, cols[1] - 1);
    for (let c = cols[0]; c <= last; c++) {
      const size = Math.abs(tile.values[r * tile.cols + c]);
      if (size > maxima[r - rows[0]] && size < Infinity) maxima[r - rows[0]] = size;
    }
  }
  return maxima;
}

/** The value as the scale sees it. */
export function scaled(value: number, perRow: boolean, maximum: number): number {
  return perRow ? (maximum > 0 ? value / maximum : value) : value;
}

/** Paint a tile, or a part of it. What the mask leaves out is not touched: the triangle is its own shape. */
export function paint(pixels: Pixels, tile: Tile, cells: Cells, look: Look, part: Part = all(tile)): void {
  const { lut: table, plate } = look.palette;
  const { rows, cols, colors } = part;
  const maxima = part.known ?? (look.perRow || look.padding ? rowMaxima(tile, look.causal, part) : undefined);
  const line = new Uint32Array(cells.x[cols[1]]);
  const [at, [least, most]] = [positions(look.scale), within(look.scale, look.slack)];
  for (let r = rows[0]; r < rows[1]; r++) {
    const last = Math.min(look.causal ? lastColumn(tile, r) : tile.cols, cols[1] - 1);
    const first = Math.max(look.window === undefined ? 0 : firstColumn(tile, r, look.window), cols[0]);
    const [top, bottom] = [cells.y[r], cells.y[r + 1] - cells.gap];
    if (last < first || bottom <= top) continue;
    if (look.gone && marked(look.gone, tile.origin.query + r * tile.step, tile.step)) {
      const box = [cells.x[first], cells.x[last + 1] - cells.gap, top, bottom] as const;
      for (let y = top; y < bottom; y++) pixels.data.fill(plate, y * pixels.width + box[0], y * pixels.width + box[1]);
      hatch(pixels, ...box, cells, look);
      continue;
    }
    const special: number[] = [];
    const small: [column: number, color: number][] = [];
    const maximum = maxima?.[r - rows[0]] ?? 0;
    for (let c = first, i = r * tile.cols + c, x = cells.x[first]; c <= last; c++, i++) {
      const value = scaled(tile.values[i], look.perRow, maximum);
      const end = cells.x[c + 1] - cells.gap;
      // Also false where it is not a number.
      if (!(value >= least && value <= most)) special.push(c);
      let color = colors ? colors[i] : 0;
      if (!color) {
        color = value !== value ? plate : table.packed[indexAt(at(value))];
        if (colors) colors[i] = color;
      }
      for (; x < end; x++) line[x] = color;
      x = cells.x[c + 1];
    }
    // Few keys are left out: looked for apart from what is done for every cell.
    for (let c = first; look.out && c <= last; c++) {
      if (!marked(look.out, tile.origin.key + c * tile.step, tile.step)) continue;
      const [from, to] = [cells.x[c], Math.max(cells.x[c], cells.x[c + 1] - cells.gap)];
      if (look.hides) line.fill(0, from, cells.x[c + 1]);
      else if (Math.min(to - from, bottom - top) >= SMALLEST) {
        small.push([c, line[from]]);
        line.fill(plate, from, to);
      }
    }
    if (look.sink !== undefined) {
      const gap = Math.floor((look.sink - tile.origin.key) / tile.step);
      line.fill(0, cells.x[Math.max(first, lastColumn(tile, r) + 1)], cells.x[Math.max(0, Math.min(gap, last + 1))]);
    }
    const [left, right] = [cells.x[first], cells.x[last + 1]];
    if (cells.gap) for (let c = first; c <= last; c++) line.fill(0, cells.x[c + 1] - cells.gap, cells.x[c + 1]);
    const drawn = line.subarray(left, right);
    for (let y = top; y < bottom; y++) pixels.data.set(drawn, y * pixels.width + left);
    for (const [c, color] of small) inner(pixels, cells.x[c], cells.x[c + 1] - cells.gap, top, bottom, color);
    if (look.padding && maxima![r - rows[0]] === 0 && !special.length)
      dots(pixels, left, right, top, bottom, cells, look);
    for (const c of special) {
      const box = [cells.x[c], Math.max(cells.x[c] + 1, cells.x[c + 1] - cells.gap), top, bottom] as const;
      if (Number.isNaN(tile.values[r * tile.cols + c])) hatch(pixels, ...box, cells, look);
      else bar(pixels, ...box, cells, look);
    }
  }
}

/** A cell that is smaller cannot be drawn on a part of itself. */
const SMALLEST = 4;

/** 40 % of the side, in the middle: a colour that was paler would mean less. */
function inner(p: Pixels, left: number, right: number, top: number, bottom: number, color: number): void {
  const [wide, high] = [right - left, bottom - top].map((side) => Math.max(2, Math.round(0.4 * side)));
  const [x, y] = [left + ((right - left - wide) >> 1), top + ((bottom - top - high) >> 1)];
  for (let row = y; row < y + high; row++) p.data.fill(color, row * p.width + x, row * p.width + x + wide);
}

/** Whether all of `count` places from `from` are marked. */
function marked(marks: Uint8Array, from: number, count: number): boolean {
  for (let i = from; i < Math.min(marks.length, from + count); i++) if (!marks[i]) return false;
  return from < marks.length;
}

/** The first column of a tile's row that a sliding window leaves some of. */
function firstColumn(tile: Tile, row: number, window: number): number {
  const query = tile.origin.query + row * tile.step;
  return Math.max(0, Math.floor((query - window + 1 - tile.origin.key) / tile.step));
}

/** 45° lines: not a number. */
function hatch(p: Pixels, left: number, right: number, top: number, bottom: number, cells: Cells, look: Look): void {
  const period = Math.round(5 * cells.ratio);
  const thick = Math.max(1, Math.round(1.25 * cells.ratio));
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) if ((x + y) % period < thick) p.data[y * p.width + x] = look.palette.mark;
  }
}

/** What is not computed yet, from row `from` of a tile on: plate with a sparse hatch, within the mask. */
export function pending(p: Pixels, tile: Tile, from: number, cells: Cells, look: Look): void {
  const period = Math.round(12 * cells.ratio);
  for (let r = from; r < tile.rows; r++) {
    const last = look.causal ? lastColumn(tile, r) : tile.cols - 1;
    if (last < 0) continue;
    const [left, right] = [Math.max(0, cells.x[0]), Math.min(p.width, cells.x[last + 1])];
    for (let y = Math.max(0, cells.y[r]); y < cells.y[r + 1]; y++) {
      for (let x = left; x < right; x++)
        p.data[y * p.width + x] = (x + y) % period ? look.palette.plate : look.palette.mark;
    }
  }
}

/** Dots: padding. */
function dots(p: Pixels, left: number, right: number, top: number, bottom: number, cells: Cells, look: Look): void {
  const period = Math.round(5 * cells.ratio);
  const thick = Math.max(1, Math.round(cells.ratio));
  const inDot = (at: number) => (at + (period >> 1)) % period < thick;
  for (let y = top; y < bottom; y++) {
    if (!inDot(y)) continue;
    for (let x = left; x < right; x++)
      if (inDot(x) && p.data[y * p.width + x]) p.data[y * p.width + x] = look.palette.mark;
  }
}

/** A bar on top, set off by a gap: outside the limits of the scale. Left to cells that have room for it. */
function bar(p: Pixels, left: number, right: number, top: number, bottom: number, cells: Cells, look: Look): void {
  const thick = Math.round(2 * cells.ratio);
  const gap = Math.round(cells.ratio);
  if (bottom - top < 3 * thick) return;
  for (let y = top; y < top + thick + gap; y++) {
    p.data.fill(y < top + thick ? look.palette.fg : 0, y * p.width + left, y * p.width + right);
  }
}

/** What a canvas was last painted from: made anew for every frame of a move, it would be most of what that costs. */
const images = new WeakMap<HTMLCanvasElement, ImageData>();

/** A canvas of this size with what `draw` paints into it. */
export function render(canvas: HTMLCanvasElement, width: number, height: number, draw: (pixels: Pixels) => void): void {
  const [wide, high] = [Math.max(1, width), Math.max(1, height)];
  let image = images.get(canvas);
  if (image?.width === wide && image.height === high && canvas.width === wide && canvas.height === high) {
    image.data.fill(0);
  } else {
    [canvas.width, canvas.height] = [wide, high];
    image = new ImageData(wide, high);
    images.set(canvas, image);
  }
  draw({ data: new Uint32Array(image.data.buffer), width: wide });
  canvas.getContext('2d')?.putImageData(image, 0, 0);
}
