/** Where the thumbnails of a grid of layers × heads stand, worked out without a DOM. */
import type { Direction, Tile } from '../pattern/pattern';

/** A head of the view: its row and column in the grid, its true numbers and its name. */
export interface Head {
  /** Row of the grid, and the layer's own number. */
  row: number;
  layer: number;
  column: number;
  head: number;
  name: string;
  /** The key head that it shares with others. */
  kv?: number;
  /** Keys that a query can see at most, itself among them. */
  window?: number;
}

/** A head that is shown, by its index, and where. */
export interface Place {
  index: number;
  row: number;
  column: number;
}

export interface GridPlan {
  /** From one thumbnail to the next, across and down. */
  pitch: number;
  pitchDown: number;
  gap: number;
  /** A thumbnail: its longer side, and both. */
  thumb: number;
  across: number;
  down: number;
  left: number;
  top: number;
  width: number;
  height: number;
  /** Thumbnails in a row. */
  columns: number;
  /** Labels are drawn for every n-th head and layer. */
  everyHead: number;
  everyLayer: number;
  /** Thumbnails too small to be read: the one pointed at is enlarged. */
  loupe: boolean;
  /** Lines of text under each thumbnail. */
  lines: number;
}

const LABEL = 20;
const TOP = 18;
/** Where heads are named in groups. */
export const GROUPS = 15;
/** Below this width a grid is given the whole width of its view. */
const NARROWEST = 10;
/** Thumbnails smaller than this have no text under them. */
const WRITTEN = 30;
export const LINE = 12;

interface GridOptions {
  /** Room over the thumbnails for the names of groups. */
  groups?: boolean;
  /** Lines of text under each thumbnail, where these are large enough. */
  lines?: number;
  /** No labels on the sides: every thumbnail has its own. */
  loose?: boolean;
  /** Some rows have words in place of heads. */
  worded?: boolean;
}

/** A row of words. */
const WORDS = 16;

/** The grid for a width; `largest` is the pitch that it grows to, `shape` the queries and keys of a pattern. */
export function gridOf(
  width: number,
  layers: number,
  heads: number,
  largest: number,
  shape: readonly [queries: number, keys: number],
  { groups = false, lines = 0, loose = false, worded = false }: GridOptions = {},
): GridPlan {
  const label = loose ? 0 : LABEL;
  const pitch = Math.max(4, Math.min(largest, Math.floor((width - label) / heads)));
  const gap = pitch >= 24 ? 6 : pitch >= 16 ? 3 : 1;
  const [left, thumb] = [label + (loose ? 3 : gap), pitch - gap];
  const top = loose ? 3 : TOP + (groups ? GROUPS : 0);
  const written = thumb >= WRITTEN ? lines : 0;
  // Thumbnails keep the shape of their pattern.
  const side = (count: number) => Math.max(3, Math.round((thumb * count) / Math.max(...shape)));
  const pitchDown = Math.max(worded ? WORDS : 0, side(shape[0]) + gap + (written ? written * LINE + 2 : 0));
  return {
    pitch,
    pitchDown,
    gap,
    thumb,
    across: side(shape[1]),
    down: side(shape[0]),
    left,
    top,
    width: left + heads * pitch - gap + (loose ? 3 : 0),
    height: top + layers * pitchDown - gap + (loose ? 3 : 0),
    columns: heads,
    everyHead: pitch >= 22 ? 1 : 8,
    everyLayer: pitchDown >= 16 ? 1 : 4,
    loupe: thumb < 24,
    lines: written,
  };
}

/** Heads in reading order, as many in a row as there is room for. */
export function rankedGrid(
  width: number,
  count: number,
  pitch: number,
  shape: readonly [queries: number, keys: number],
  lines: number,
): GridPlan {
  const columns = Math.max(1, Math.floor((width + 2) / pitch));
  const rows = Math.max(1, Math.ceil(count / columns));
  return gridOf(columns * pitch, rows, columns, pitch, shape, { loose: true, lines });
}

/** As high as ranked heads may be before they scroll: whole rows, and so much of the next one that it is seen to be there. */
export function tallestOf(plan: GridPlan): number {
  return plan.top + Math.max(1, Math.floor(440 / plan.pitchDown)) * plan.pitchDown + 20;
}

/** Whether a grid of so many heads is readable beside the map, in a column of this width. */
export function fitsColumn(heads: number, width: number): boolean {
  return (width - LABEL) / heads >= NARROWEST;
}

/** Top left corner of a head's thumbnail. */
export function cornerOf(plan: GridPlan, { row, column }: Pick<Place, 'row' | 'column'>): { x: number; y: number } {
  return { x: plan.left + column * plan.pitch, y: plan.top + row * plan.pitchDown };
}

/** A frame round a thumbnail, `outset` from it. */
export function frameOf(plan: GridPlan, place: Place, outset: number): string {
  const { x, y } = cornerOf(plan, place);
  const [width, height] = [plan.across + 2 * outset, plan.down + 2 * outset];
  return `M${x - outset} ${y - outset}h${width}v${height}h${-width}z`;
}

/** A frame round a row (`from`) or column (`by`) of a thumbnail, half a pixel inside of what it is drawn on. */
export function markOf(plan: GridPlan, tile: Tile, causal: boolean, direction: Direction, index: number): string {
  const along = direction === 'from';
  const at = Math.floor(index / tile.step);
  const size = along ? plan.down / tile.rows : plan.across / tile.cols;
  // A causal row ends at the diagonal, a causal column begins there.
  const [start, length] = !causal
    ? [0, along ? plan.across : plan.down]
    : along
      ? [0, ((at + 1) * plan.across) / tile.cols]
      : [(at * plan.down) / tile.rows, ((tile.rows - at) * plan.down) / tile.rows];
  // A frame would hide what small thumbnails show: they have a line beside it.
  const thick = plan.loupe ? 0 : Math.max(size, 1) + 1;
  return along
    ? `M0.5 ${at * size + 0.5}h${length + 1}v${thick}h${-(length + 1)}z`
    : `M${at * size + 0.5} ${start + 0.5}h${thick}v${length + 1}h${-thick}z`;
}

/** Row and column of what is under a point; −1 beside the thumbnails, where the labels are. */
export function spotAt(plan: GridPlan, x: number, y: number): Pick<Place, 'row' | 'column'> {
  return {
    row: Math.max(-1, Math.floor((y - plan.top + plan.gap / 2) / plan.pitchDown)),
    column: Math.max(-1, Math.floor((x - plan.left + plan.gap / 2) / plan.pitch)),
  };
}

/** The longer side of an enlarged thumbnail, CSS pixels. */
export const LOUPE = 96;

/** Top left corner of what enlarges a thumbnail: to the right of it, to the left where it would reach past the grid. */
export function loupeAt(plan: GridPlan, place: Place): { x: number; y: number } {
  const { x, y } = cornerOf(plan, place);
  const left = x + plan.thumb + 8 + LOUPE + 16 > plan.width ? x - LOUPE - 24 : x + plan.thumb + 8;
  return { x: Math.max(0, left), y: Math.max(0, Math.min(y - 20, plan.height - LOUPE - 24)) };
}

/** The head that an arrow key leads to; the same one at the edge. */
export function neighbour(places: Place[], from: number, key: string): number | undefined {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[key];
  if (!step) return undefined;
  const here = places.find(({ index }) => index === from);
  if (!here) return places[0]?.index;
  const along = (at: Place) =>
    step[0]
      ? at.column === here.column
        ? step[0] * (at.row - here.row)
        : 0
      : at.row === here.row
        ? step[1] * (at.column - here.column)
        : 0;
  // Rows without heads are stepped over.
  const ahead = places.filter((at) => along(at) > 0).sort((a, b) => along(a) - along(b));
  return ahead[0]?.index ?? from;
}

export interface Group {
  name: string;
  from: number;
  to: number;
}

/** Columns whose heads share a key head, where all layers agree. */
export function groupsOf(heads: Head[]): Group[] {
  const of: (number | undefined)[] = [];
  for (const { column, kv } of heads) {
    if (column in of && of[column] !== kv) return [];
    of[column] = kv;
  }
  const found: Group[] = [];
  of.forEach((kv, column) => {
    if (kv === undefined) return;
    if (of[column - 1] === kv) found[found.length - 1].to = column;
    else found.push({ name: `kv ${kv}`, from: column, to: column });
  });
  return found;
}

/** "L5H12 · kv 3 · window 128": a head with what its name does not say. */
export function fullName({ name, kv, window }: Head, windowWord: (window: number) => string): string {
  return [name, kv !== undefined && `kv ${kv}`, window !== undefined && windowWord(window)].filter(Boolean).join(' · ');
}
