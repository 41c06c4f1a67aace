/** Two columns of tokens and the lines between them: which lines are drawn and where, worked out without a DOM. */
import { lastColumn } from '../pattern/dense';
import type { Cell, Line, Range, Tile } from '../pattern/pattern';

/** Tokens of a column; of a longer text those round what is picked. */
export const WINDOW = 240;
/** Lines that are drawn at most, and those of one token: more can be followed by no eye. */
export const MOST = 300;
export const MOST_OWN = 30;

/** A line: a weight, and which of several heads it is of. */
export interface Link extends Cell {
  value: number;
  head: number;
}

export interface Links {
  /** The weakest first, so that the strongest are painted over them. */
  links: Link[];
  /** How many weights are as large as was asked for, drawn or not. */
  all: number;
}

/** The weights of `least` in size and more, of one head or several; the `most` largest where there are more. */
export function linksOf(tiles: Tile[], causal: boolean, least: number, most = MOST): Links {
  const links: Link[] = [];
  tiles.forEach((tile, head) => {
    const { values, cols, origin } = tile;
    for (let r = 0; r < (tile.done ?? tile.rows); r++) {
      const last = causal ? lastColumn(tile, r) : cols - 1;
      for (let c = 0; c <= last; c++) {
        const value = values[r * cols + c];
        if (Math.abs(value) >= least && value !== 0)
          links.push({ query: origin.query + r, key: origin.key + c, value, head });
      }
    }
  });
  links.sort((a, b) => Math.abs(a.value) - Math.abs(b.value));
  return { links: links.slice(Math.max(0, links.length - most)), all: links.length };
}

/** The lines of one token, from the rows or columns of each head, within the window; the weakest first. */
export function ownLinks(
  lines: (Line | undefined)[],
  by: boolean,
  subject: number,
  others: Range,
  least: number,
  most = MOST_OWN,
): Link[] {
  const links: Link[] = [];
  lines.forEach((line, head) => {
    if (!line) return;
    const [from, to] = [Math.max(others[0], line.start), Math.min(others[1], line.start + line.values.length)];
    for (let i = from; i < to; i++) {
      const value = line.values[i - line.start];
      if (!(Math.abs(value) >= least) || value === 0) continue;
      links.push(by ? { query: i, key: subject, value, head } : { query: subject, key: i, value, head });
    }
  });
  links.sort((a, b) => Math.abs(a.value) - Math.abs(b.value));
  return links.slice(Math.max(0, links.length - most));
}

/** A row or a column of a tile of single weights. */
export function lineIn(tile: Tile, by: boolean, index: number, causal: boolean): Line | undefined {
  const { values, rows, cols, origin } = tile;
  const [r, c] = [index - origin.query, index - origin.key];
  if (by ? c < 0 || c >= cols : r < 0 || r >= rows) return undefined;
  if (!by)
    return {
      start: origin.key,
      values: values.subarray(r * cols, r * cols + (causal ? lastColumn(tile, r) + 1 : cols)),
    };
  const first = causal ? Math.max(0, index - origin.query) : 0;
  const column = Float64Array.from({ length: Math.max(0, rows - first) }, (_, i) => values[(first + i) * cols + c]);
  return { start: origin.query + first, values: column };
}

/** How much of a row or column lies outside of the window. */
export function outside(line: Line | undefined, [from, to]: Range): number {
  let sum = 0;
  if (line)
    for (let i = 0; i < line.values.length; i++)
      if (line.start + i < from || line.start + i >= to) sum += line.values[i];
  return sum;
}

export function holds([from, to]: Range, at: number | undefined): boolean {
  return at !== undefined && at >= from && at < to;
}

/** The tokens of a column: all, or as many as it holds round one of them. */
export function windowOf(count: number, middle: number, size = WINDOW): Range {
  if (count <= size) return [0, count];
  const from = Math.max(0, Math.min(count - size, middle - Math.floor(size / 2)));
  return [from, from + size];
}

/** All in CSS pixels, from the top left corner of the drawing. */
export interface LinesPlan {
  rows: Range;
  cols: Range;
  /** From one token of a column to the next. */
  pitch: number;
  top: number;
  /** Where lines begin at the queries, and end at the keys. */
  left: number;
  right: number;
  width: number;
  height: number;
}

const HEAD = 24;
const [TIGHT, LOOSE, TALLEST] = [4, 18, 960];
/** Between a token and its number, or the lines. */
export const GAP = 8;
/** A line is longer than this, and a picture not wider than it can be followed. */
const [SHORTEST, LONGEST] = [80, 420];

/** `labels` and `numbers` are the widths of what stands outside of the lines, queries and keys. */
export function linesPlan(
  width: number,
  rows: Range,
  cols: Range,
  labels: [number, number],
  numbers: number,
): LinesPlan {
  const count = Math.max(rows[1] - rows[0], cols[1] - cols[0]);
  const pitch = Math.max(TIGHT, Math.min(LOOSE, Math.floor(TALLEST / count)));
  const beside = labels.map((label) => numbers + GAP + label + GAP);
  const between = Math.max(SHORTEST, Math.min(LONGEST, width - beside[0] - beside[1]));
  const [left, right] = [beside[0], beside[0] + between];
  return { rows, cols, pitch, top: HEAD, left, right, width: right + beside[1], height: HEAD + count * pitch + 4 };
}

export const queryY = (plan: LinesPlan, query: number) => plan.top + (query - plan.rows[0] + 0.5) * plan.pitch;
export const keyY = (plan: LinesPlan, key: number) => plan.top + (key - plan.cols[0] + 0.5) * plan.pitch;

/** What is under a point: a token of either column, or a line that passes within a few pixels. */
export function under(plan: LinesPlan, links: Link[], x: number, y: number, near = 5): Partial<Cell> | undefined {
  const at = Math.floor((y - plan.top) / plan.pitch);
  const [down, across] = [plan.rows[1] - plan.rows[0], plan.cols[1] - plan.cols[0]];
  if (x < plan.left) return at >= 0 && at < down ? { query: plan.rows[0] + at } : undefined;
  if (x > plan.right) return at >= 0 && at < across ? { key: plan.cols[0] + at } : undefined;
  const t = (x - plan.left) / (plan.right - plan.left);
  let [best, nearest]: [Link | undefined, number] = [undefined, near];
  for (const link of links) {
    const [from, to] = [queryY(plan, link.query), keyY(plan, link.key)];
    // Across the line, not down: steep ones are not easier to miss.
    const away = Math.abs(from + t * (to - from) - y) * Math.cos(Math.atan2(to - from, plan.right - plan.left));
    // Stronger lines come later, and lie on top.
    if (away <= nearest) [best, nearest] = [link, away];
  }
  return best && { query: best.query, key: best.key };
}

/** How thick a line is, and how much of what is below it it lets through, by its share of the scale. */
export function strokeOf(share: number, pitch: number): { width: number; alpha: number } {
  const size = Math.max(0, Math.min(1, share));
  return { width: 0.6 + size * Math.min(4, Math.max(1.4, pitch / 3)), alpha: 0.22 + 0.78 * size };
}

/** Decimals that are true of a number which may be off by `error`. */
export function decimalsOf(error: number, most = 4): number {
  return error > 0 ? Math.max(0, Math.min(most, Math.floor(-Math.log10(error)))) : most;
}

/** Of heads side by side: solid, then ever more broken, so that they can be told apart without their colours. */
export const DASHES: number[][] = [[], [7, 3], [2, 2.5], [9, 3, 2, 3], [4, 2]];
