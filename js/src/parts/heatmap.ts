/** Where things stand in a heat map of queries × keys, worked out without a DOM. */
import { colorAt, css, textOn } from '../color';
import { lastColumn } from '../pattern/dense';
import type { Cell, Direction, Line, Pattern, Range, Tile } from '../pattern/pattern';
import { position } from '../scale';
import type { TokensJson } from '../views/types';
import { rowMaxima, scaled, type Look } from './cells';
import { labelOf, place, thinned, type Wish } from './label';

/** All in CSS pixels, from the top left corner of the drawing. */
export interface Plan {
  /** Weights to a cell's side; above 1 the cells are pooled. */
  step: number;
  /** Side of a cell. */
  cell: number;
  gap: number;
  /** Where the cells begin. */
  left: number;
  top: number;
  /** The cells, and the whole drawing. */
  width: number;
  height: number;
  outerWidth: number;
  outerHeight: number;
  /** The weights that are shown: from, and up to. */
  from: Cell;
  to: Cell;
  /** CSS pixels of the longest key label. */
  longest: number;
  /** Key labels: on the diagonal, on top upright, or on top along the axis. */
  keyLabels: 'diagonal' | 'upright' | 'along';
}

const LEFT = 72;
const HEAD = 20;
const LARGEST = 36;
/** A map of many queries and few keys is not let grow beyond this. */
const TALLEST = 1000;
/** Room between two labels of 11 px. */
export const APART = 13;

export function planOf(width: number, queries: TokensJson, keys: TokensJson, causal: boolean): Plan {
  const [down, across] = [queries.label.length, keys.label.length];
  const widths = keys.label.map((_, k) => labelOf(keys, k).width);
  const right = causal ? marginRight(widths, width) : 8;
  const room = Math.max(40, width - LEFT - right);
  const exact = Math.min(LARGEST, room / across, TALLEST / down);
  const step = Math.max(1, Math.ceil(1 / exact - 1e-9));
  // From 4 px on all cells have one size; below, the rounding would cost too much of the width.
  const cell = step > 1 ? Math.min(room / Math.ceil(across / step), TALLEST / Math.ceil(down / step)) : whole(exact);
  const longest = widths.reduce((a, b) => Math.max(a, b), 0);
  const upright = !causal && longest + 8 > cell * step;
  const top = HEAD + (causal ? 0 : upright ? Math.ceil(longest) + 8 : 16);
  const size = { width: Math.ceil(across / step) * cell, height: Math.ceil(down / step) * cell };
  return {
    step,
    cell,
    gap: cell >= 6 ? 1 : 0,
    left: LEFT,
    top,
    ...size,
    outerWidth: LEFT + size.width + right,
    outerHeight: top + size.height + 4,
    from: { query: 0, key: 0 },
    to: { query: down, key: across },
    longest,
    keyLabels: causal ? 'diagonal' : upright ? 'upright' : 'along',
  };
}

function whole(cell: number): number {
  return cell >= 4 ? Math.floor(cell) : cell;
}

/** What the labels at the lower right end of the diagonal need beside the last column. */
function marginRight(widths: number[], width: number): number {
  const n = widths.length;
  const cell = Math.min(LARGEST, Math.max(1, (width - LEFT - 28) / n));
  return Math.ceil(widths.reduce((most, w, k) => Math.max(most, 7 + w - (n - 1 - k) * cell), 28));
}

/** A part of a map: the weight in its corner, and CSS pixels to a weight. */
export interface Viewport extends Cell {
  scale: number;
}

/** CSS pixels that a map is wide and high at least: what is less is a stripe. */
const STRIPE = 90;
/** Rows of this height have a label each. */
export const READABLE = 14;

/** A part of a map has the room of the whole, and that of a few cells, or of all rows, where the whole is a stripe. */
function outer({ outerWidth, outerHeight, longest, to }: Plan): Pick<Plan, 'outerWidth' | 'outerHeight'> {
  const high = (row: number) => HEAD + longest + 13 + row * to.query;
  const rows = Math.max(Math.min(300, high(LARGEST)), Math.min(480, high(READABLE)));
  return { outerWidth: Math.max(outerWidth, 300), outerHeight: Math.max(outerHeight, rows) };
}

/** Where a map opens whose whole is a stripe, as of few queries and many keys: with all of the fewer, in sight of a cell. */
export function openedOn(whole: Plan, cell: Partial<Cell>): Viewport | undefined {
  const { query: down, key: across } = whole.to;
  if (whole.cell / whole.step >= READABLE || Math.min(whole.width, whole.height) >= STRIPE) return undefined;
  const view = framed(whole, [0, Math.min(down, across)], [0, Math.min(down, across)]);
  return revealing(zoomed(whole, view, down, across), view, cell);
}

/** The plan of a part of a map, which takes the room that the whole has. Cells begin at whole cells of their size. */
export function zoomed(whole: Plan, view: Viewport, down: number, across: number): Plan {
  const scale = Math.min(LARGEST, view.scale);
  const step = scale >= 1 ? 1 : 2 ** Math.ceil(Math.log2(1 / scale) - 1e-9);
  const size = scale >= 4 ? Math.floor(scale) : Math.max(1, Math.floor(scale * 4) / 4);
  const cell = step > 1 ? scale * step : size;
  const upright = whole.longest + 8 > cell * step;
  const top = HEAD + (upright ? Math.ceil(whole.longest) + 8 : 16);
  const fits = (room: number, count: number) => Math.max(1, Math.min(Math.floor(room / cell), Math.ceil(count / step)));
  const [rows, cols] = [
    fits(outer(whole).outerHeight - top - 4, down),
    fits(outer(whole).outerWidth - whole.left - 8, across),
  ];
  const begin = (at: number, shown: number, count: number) =>
    step * Math.max(0, Math.min(Math.round(at / step), Math.ceil(count / step) - shown));
  const from = { query: begin(view.query, rows, down), key: begin(view.key, cols, across) };
  const to = { query: Math.min(down, from.query + rows * step), key: Math.min(across, from.key + cols * step) };
  const drawn = { width: cols * cell, height: rows * cell };
  return {
    ...whole,
    ...outer(whole),
    step,
    cell,
    gap: cell >= 6 ? 1 : 0,
    top,
    ...drawn,
    from,
    to,
    keyLabels: upright ? 'upright' : 'along',
  };
}

/** The viewport of another scale that shows the weight under a point there too; undefined where the whole fits. */
export function zoomedAt(whole: Plan, plan: Plan, wanted: number, x: number, y: number): Viewport | undefined {
  const scale = Math.min(LARGEST, wanted);
  if (scale <= (whole.cell / whole.step) * 1.001) return undefined;
  const { top, left, cell, step } = zoomed(whole, { scale, query: 0, key: 0 }, whole.to.query, whole.to.key);
  const query = plan.from.query + ((y - plan.top) / plan.cell) * plan.step;
  const key = plan.from.key + ((x - plan.left) / plan.cell) * plan.step;
  return { scale, query: query - ((y - top) / cell) * step, key: key - ((x - left) / cell) * step };
}

/** The viewport of a rectangle, which is in it as a whole. */
export function framed(whole: Plan, rows: Range, cols: Range): Viewport {
  const scale = Math.min(
    LARGEST,
    (outer(whole).outerHeight - HEAD - whole.longest - 13) / Math.max(1, rows[1] - rows[0]),
    (outer(whole).outerWidth - whole.left - 8) / Math.max(1, cols[1] - cols[0]),
  );
  return { scale, query: rows[0], key: cols[0] };
}

/** The viewport moved as little as shows a cell with some of what is around it; itself where it does already. */
export function revealing(plan: Plan, view: Viewport, cell: Partial<Cell>): Viewport {
  const moved = (axis: 'query' | 'key') => {
    const at = cell[axis];
    const [from, to] = [plan.from[axis], plan.to[axis]];
    if (at === undefined || (at >= from && at < to)) return view[axis];
    const margin = Math.floor((to - from) / 4);
    return at < from ? at - margin : at - (to - from) + margin + 1;
  };
  return { ...view, query: moved('query'), key: moved('key') };
}

/** A part of the cells, with a step. */
export interface Region {
  rows: Range;
  cols: Range;
  step: number;
}

/** Weights down, and cells, that are asked for together at most: a kernel computes them in some 50 ms. */
const [DEEP, MANY] = [2048, 800_000];

/**
 * What is asked for where a part is shown: with up to twice as much on each side, where that costs little, so that it is
 * here when the part is moved. The last one serves until the part comes near its edge.
 */
export function regionOf(before: Region | undefined, shown: Region, down: number, across: number): Region {
  const { step } = shown;
  const size = ([from, to]: Range) => Math.max(0, to - from);
  const [high, wide] = [size(shown.rows), size(shown.cols)];
  // Of the part, on each side.
  const most = Math.min(2, (DEEP / high - 1) / 2, (step * Math.sqrt(MANY / (high * wide)) - 1) / 2);
  const room = most < 0.2 ? 0 : most;
  const wider = ([from, to]: Range, by: number, count: number): Range => [
    Math.max(0, from - by),
    Math.min(count, to + by),
  ];
  const within = (inner: Range, outer: Range) => inner[0] >= outer[0] && inner[1] <= outer[1];
  const around = (share: number) => ({
    rows: wider(shown.rows, Math.floor(share * high), down),
    cols: wider(shown.cols, Math.floor(share * wide), across),
  });
  const near = around(room / 2);
  if (before?.step === step && within(near.rows, before.rows) && within(near.cols, before.cols)) return before;
  return { step, ...around(room) };
}

/** Whether a tile has all of a part. */
export function covers(tile: Tile, { rows, cols, step }: Region): boolean {
  const { origin } = tile;
  return (
    tile.step === step &&
    (tile.done ?? tile.rows) >= tile.rows &&
    origin.query <= rows[0] &&
    origin.key <= cols[0] &&
    origin.query + tile.rows * step >= rows[1] &&
    origin.key + tile.cols * step >= cols[1]
  );
}

/** What a tile leaves of a part: strips at its sides, all of it where there is no tile or they do not meet. */
export function beside(rows: Range, cols: Range, tile: Tile | undefined): [rows: Range, cols: Range][] {
  if (!tile) return [[rows, cols]];
  const { origin, step } = tile;
  const [top, bottom] = [Math.max(rows[0], origin.query), Math.min(rows[1], origin.query + tile.rows * step)];
  const [left, right] = [Math.max(cols[0], origin.key), Math.min(cols[1], origin.key + tile.cols * step)];
  if (top >= bottom || left >= right) return [[rows, cols]];
  const strips: [Range, Range][] = [
    [[rows[0], top], cols],
    [[bottom, rows[1]], cols],
    [
      [top, bottom],
      [cols[0], left],
    ],
    [
      [top, bottom],
      [right, cols[1]],
    ],
  ];
  return strips.filter(([down, across]) => down[0] < down[1] && across[0] < across[1]);
}

const within = (value: number, most: number) => Math.max(0, Math.min(most, value));

/** Left edge of a key's column, or the right edge of the one before it; at an edge where it is out of sight. */
export function keyAt(plan: Plan, key: number): number {
  return plan.left + within(((key - plan.from.key) / plan.step) * plan.cell, plan.width);
}

export function queryAt(plan: Plan, query: number): number {
  return plan.top + within(((query - plan.from.query) / plan.step) * plan.cell, plan.height);
}

/** The weight under a point; pooled, the one that its cell shows. */
export function cellAt(plan: Plan, pattern: Pattern, x: number, y: number): Cell | undefined {
  const column = Math.floor((x - plan.left) / plan.cell);
  const row = Math.floor((y - plan.top) / plan.cell);
  if (column < 0 || row < 0 || x >= plan.left + plan.width || y >= plan.top + plan.height) return undefined;
  const block = (from: number, at: number) => [from + at * plan.step, from + (at + 1) * plan.step] as const;
  return pattern.peak(block(plan.from.query, row), block(plan.from.key, column));
}

/** The query whose label a point is on, left of the cells. */
export function queryLabelAt(plan: Plan, x: number, y: number): number | undefined {
  if (x < 0 || x >= plan.left || y < plan.top || y >= plan.top + plan.height) return undefined;
  return plan.from.query + Math.floor(((y - plan.top) / plan.cell) * plan.step);
}

/** What is pointed at: a row or a column, and a cell in it. */
export interface Focus {
  direction: Direction;
  /** The query of a row, the key of a column. */
  subject: number;
  /** The other end of the cell. */
  partner: number | undefined;
}

/** Labels that are drawn on one axis, and how. */
export interface Shown {
  index: number;
  strong: boolean;
}

/**
 * The labels of one axis: what is pointed at first, then the ends, then the strong ones of the row or column, then
 * every n-th.
 */
export function labelsOf(count: number, pitch: number, pointed: number[], strong: Set<number>, from = 0): Shown[] {
  const wishes: Wish[] = [
    ...pointed.map((index) => ({ index, rank: 0 })),
    ...[from, count - 1].map((index) => ({ index, rank: 1 })),
    ...[...strong].map((index) => ({ index, rank: 2 })),
    ...thinned(count, pitch, pitch < 12 ? APART : pitch, from).map((index) => ({ index, rank: 3 })),
  ].filter(({ index }) => index >= from && index < count);
  // From 12 px on every token in sight (from `from`, up to `count`) has its label.
  return place(wishes, pitch, pitch < 12 ? APART : pitch).map((index) => ({
    index,
    strong: pointed.includes(index) || strong.has(index),
  }));
}

/** Labels, of which those that are as they were before are the same objects: what draws them is not visited. */
export function unchanged(before: Shown[], now: Shown[]): Shown[] {
  const known = new Map(before.map((label) => [label.index, label]));
  return now.map((label) => {
    const old = known.get(label.index);
    return old?.strong === label.strong ? old : label;
  });
}

/** The positions of a line whose weight is at least `limit` in size. */
export function strongIn(line: Line | undefined, limit: number): Set<number> {
  const found = new Set<number>();
  if (line)
    for (let i = 0; i < line.values.length; i++) if (Math.abs(line.values[i]) >= limit) found.add(line.start + i);
  return found;
}

/** A number that stands in its cell. */
export interface CellNumber extends Cell {
  text: string;
  color: string;
}

/** The weights of a tile that are told in their cells: those of a tenth of the scale and more, in a colour to read. */
export function numbersIn(tile: Tile, look: Look): CellNumber[] {
  const full = Math.max(...look.scale.limits.map(Math.abs));
  const maxima = look.perRow ? rowMaxima(tile, look.causal) : undefined;
  const whole = tile.values.every((value) => Number.isInteger(value) || !Number.isFinite(value));
  const found: CellNumber[] = [];
  for (let query = 0; query < tile.rows; query++) {
    const last = look.causal ? lastColumn(tile, query) : tile.cols - 1;
    for (let key = 0; key <= last; key++) {
      const value = tile.values[query * tile.cols + key];
      const shown = scaled(value, look.perRow, maxima?.[query] ?? 0);
      if (!(Math.abs(shown) >= full / 10) || Math.abs(value) === Infinity) continue;
      const fill = colorAt(look.palette.lut, position(look.scale, shown));
      const text = brief(value, full, whole);
      if (text)
        found.push({
          query: tile.origin.query + query,
          key: tile.origin.key + key,
          text,
          color: css(textOn(fill, look.palette.foreground)),
        });
    }
  }
  return found;
}

/** ".95", "1", "−.3", "2.4", "12" (of `counts` "3", not "3.0"): at most four characters, so that it fits a cell; "" where it would not, or say little. */
export function brief(value: number, full: number, counts = false): string {
  if (full < 0.15) return '';
  const size = Math.abs(value);
  const decimals = counts ? 0 : full < 2 && size < 0.995 ? 2 : full < 10 ? 1 : 0;
  const text = size.toFixed(decimals).replace(/^0\./, '.');
  // A probability of 1 is 1; among numbers with a decimal it keeps its own.
  const short = Number(text) === 1 && full < 2 ? '1' : text;
  const whole = value < 0 ? `\u2212${short}` : short;
  return whole.length <= 4 && Number(short) !== 0 ? whole : '';
}
