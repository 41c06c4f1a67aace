/** Where things stand in a labelled matrix, worked out without a DOM. */
import { pool } from '../pattern/dense';
import type { Tile } from '../pattern/pattern';
import type { TokensJson } from '../views/types';
import type { PointsJson } from './charttrack.svelte';
import { labelOf, place, thinned, type Label } from './label';

/** The rows or the columns as Python sends them (mechviz/views/_matrix.py). */
export interface SideJson extends PointsJson {
  count: number;
  /** Names are tokens. */
  mono: boolean;
  /** What they are: "layer". */
  title: string;
}

/** A row and a column. */
export interface Spot {
  row: number;
  column: number;
}

/** One direction: `count` rows or columns from the one at `from`, `step` of them to a cell of `cell` CSS pixels. */
export interface Run {
  from: number;
  count: number;
  step: number;
  cell: number;
  /** All of them. */
  size: number;
  /** How large a cell may become where there is room. */
  most: number;
}

/** All in CSS pixels, from the top left corner of the drawing. */
export interface Plan {
  x: Run;
  y: Run;
  gap: number;
  /** Where the cells begin. */
  left: number;
  top: number;
  outerWidth: number;
  outerHeight: number;
  /** Names of columns stand upright. */
  upright: boolean;
  /** Least distance between the names of two columns. */
  apart: number;
}

/** How large a cell may become; `square` keeps both sides alike while that leaves room for the names. */
export interface Sizes {
  x: number;
  y: number;
  square: boolean;
}

const SQUARE: Sizes = { x: 36, y: 36, square: true };
const HEAD = 20;
const RIGHT = 8;
const TALLEST = 800;
/** Rows (columns) of a matrix that is far wider (higher) than that are not let shrink below this. */
const LEAST = 14;
/** Columns of characters before a name is cut. */
const ROOM = 18;
/** Room between two names of 11 px. */
export const APART = 13;
/** Names that are made of more numbers are taken to be longest at the end. */
const FEW = 256;
const LETTERS: Record<string, string> = { layer: 'L', head: 'H', neuron: 'N' };

/** The name of a row or column: its own, else "L5" or its index. */
export function sideName(side: SideJson, i: number): string {
  if (side.labels) return side.labels[i];
  const columns = Object.values(side.axes);
  const index = columns.length === 1 ? columns[0].data[i] : i;
  return `${LETTERS[side.noun] ?? ''}${index}`;
}

/** The name as it stands on an axis; of sites and files, unlike tokens, the end says as much as the beginning. */
export function sideLabel(side: SideJson, i: number, room = ROOM): Label {
  const one = { label: [sideName(side, i)], role: [null] };
  return labelOf(one as unknown as TokensJson, 0, room, !side.mono);
}

function widest(side: SideJson): number {
  const first = side.labels || side.count <= FEW ? 0 : side.count - 1;
  let width = 0;
  for (let i = first; i < side.count; i++) width = Math.max(width, sideLabel(side, i).width);
  return Math.ceil(width);
}

export function planOf(width: number, rows: SideJson, columns: SideJson, sizes: Sizes = SQUARE): Plan {
  const left = Math.max(24, widest(rows) + 10);
  const room = Math.max(40, width - left - RIGHT);
  const [x, y] = [Math.min(sizes.x, room / columns.count), Math.min(sizes.y, TALLEST / rows.count)];
  const least = sizes.square ? Math.max(LEAST, Math.min(x, y)) : Infinity;
  const across = run(columns.count, Math.min(x, least), room, sizes.x);
  const down = run(rows.count, Math.min(y, least), TALLEST, sizes.y);
  const name = widest(columns);
  const along = name + 8 <= across.cell / across.step || !columns.labels;
  const top = HEAD + (along ? 16 : name + 8);
  return {
    x: across,
    y: down,
    gap: Math.min(across.cell, down.cell) >= 6 ? 1 : 0,
    left,
    top,
    outerWidth: left + across.size + RIGHT,
    outerHeight: top + down.size + 4,
    upright: !along,
    apart: along ? name + 8 : APART,
  };
}

function run(count: number, exact: number, room: number, most: number): Run {
  const step = Math.max(1, Math.ceil(1 / exact - 1e-9));
  const cells = Math.ceil(count / step);
  // From 4 px on all cells have one size; below, the rounding would cost too much of the room.
  const cell = step > 1 ? room / cells : exact >= 4 ? Math.floor(exact) : exact;
  return { from: 0, count, step, cell, size: cells * cell, most };
}

/** A part of a run in the same room. Blocks of 2, 4, 8 … begin where they would in all of it. */
export function within(run: Run, [from, to]: readonly [number, number]): Run {
  const pitch = run.size / (to - from);
  const step = pitch >= 1 ? 1 : 2 ** Math.ceil(-Math.log2(pitch) - 1e-9);
  const first = Math.floor(Math.round(from) / step) * step;
  const count = Math.max(1, Math.min(run.count, Math.round(to)) - first);
  return { ...run, from: first, count, step, cell: run.size / Math.ceil(count / step) };
}

/** Whether a row or column is among those that are shown. */
export function isIn(run: Run, i: number | undefined): i is number {
  return i !== undefined && i >= run.from && i < run.from + run.count;
}

/** Middle of a row or column, from the first one's edge. */
export function middle(run: Run, i: number): number {
  const pitch = run.cell / run.step;
  const place = i - run.from;
  return run.step > 1 ? Math.min(run.size, (place + 0.5) * pitch) : place * run.cell + run.cell / 2;
}

/** The edge and the length of the cell that a row or column lies in. */
export function span(run: Run, i: number, gap: number): [at: number, size: number] {
  return [Math.floor((i - run.from) / run.step) * run.cell, run.cell - gap];
}

/** Half open: the rows or columns of the cell at a distance from the first one's edge; undefined outside. */
export function blockAt(run: Run, at: number): readonly [number, number] | undefined {
  if (at < 0 || at >= run.size) return undefined;
  return blockOf(run, run.from + Math.floor(at / run.cell) * run.step);
}

/** Half open: what shares a cell with a row or column. */
export function blockOf(run: Run, i: number): readonly [number, number] {
  const from = run.from + Math.floor((i - run.from) / run.step) * run.step;
  return [from, Math.min(run.from + run.count, from + run.step)];
}

/** Rows or columns whose names are drawn: what is pointed at and picked first, then the ends, then every n-th. */
export function named(run: Run, apart: number, pointed: number[]): number[] {
  const pitch = run.cell / run.step;
  const distance = Math.max(pitch, apart);
  const last = run.from + run.count - 1;
  return place(
    [
      ...pointed.slice(0, 40).map((index) => ({ index, rank: 0 })),
      ...[run.from, last].map((index) => ({ index, rank: 1 })),
      ...thinned(last + 1, pitch, distance).map((index) => ({ index, rank: 2 })),
    ].filter(({ index }) => isIn(run, index)),
    pitch,
    distance,
  );
}

/** Where the cells of a matrix come from: a rectangle of it, pooled by squares of `step`. */
interface Source {
  tile(step: number, rows?: readonly [number, number], columns?: readonly [number, number]): Tile | undefined;
}

/** What is drawn of a matrix: its cells, pooled where they would be smaller than a pixel. */
export function tileOf(source: Source, { x, y }: Plan, signed: boolean): Tile | undefined {
  // Squares are pooled once for all parts of the matrix; what is left is little.
  const least = Math.min(x.step, y.step);
  const step = x.step % least || y.step % least ? 1 : least;
  const part = source.tile(step, [y.from, y.from + y.count], [x.from, x.from + x.count]);
  return part && pool(part, y.step / step, false, signed, x.step / step);
}

const CURVES = ['linear', 'sqrt', 'log'] as const;
export type Curve = (typeof CURVES)[number];

/** The next way to spread numbers over a scale. */
export function nextCurve(curve: Curve): Curve {
  return CURVES[(CURVES.indexOf(curve) + 1) % CURVES.length];
}
