/** Where the thumbnails of a grid of layers × heads stand, worked out without a DOM. */

/** A head of the view: its row and column in the grid, its true numbers and its name. */
export interface Head {
  /** Index among the layers shown, and the layer's own number. */
  row: number;
  layer: number;
  column: number;
  head: number;
  name: string;
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
  /** Labels are drawn for every n-th head and layer. */
  everyHead: number;
  everyLayer: number;
  /** Thumbnails too small to be read: the one pointed at is enlarged. */
  loupe: boolean;
}

const LABEL = 20;
const TOP = 18;
/** Below this width a grid is given the whole width of its view. */
const NARROWEST = 10;

/** The grid for a width; `largest` is the pitch that it grows to, `shape` the queries and keys of a pattern. */
export function gridOf(
  width: number,
  layers: number,
  heads: number,
  largest: number,
  shape: readonly [queries: number, keys: number],
): GridPlan {
  const pitch = Math.max(4, Math.min(largest, Math.floor((width - LABEL) / heads)));
  const gap = pitch >= 24 ? 6 : pitch >= 16 ? 3 : 1;
  const [left, thumb] = [LABEL + gap, pitch - gap];
  // Thumbnails keep the shape of their pattern.
  const side = (count: number) => Math.max(3, Math.round((thumb * count) / Math.max(...shape)));
  const pitchDown = side(shape[0]) + gap;
  return {
    pitch,
    pitchDown,
    gap,
    thumb,
    across: side(shape[1]),
    down: side(shape[0]),
    left,
    top: TOP,
    width: left + heads * pitch - gap,
    height: TOP + layers * pitchDown - gap,
    everyHead: pitch >= 22 ? 1 : 8,
    everyLayer: pitchDown >= 16 ? 1 : 4,
    loupe: thumb < 24,
  };
}

/** Whether a grid of so many heads is readable beside the map, in a column of this width. */
export function fitsColumn(heads: number, width: number): boolean {
  return (width - LABEL) / heads >= NARROWEST;
}

/** Top left corner of a head's thumbnail. */
export function cornerOf(plan: GridPlan, head: Pick<Head, 'row' | 'column'>): { x: number; y: number } {
  return { x: plan.left + head.column * plan.pitch, y: plan.top + head.row * plan.pitchDown };
}

/** Index of the head whose thumbnail (with half of the gap around it) is under a point. */
export function headAt(plan: GridPlan, heads: Head[], x: number, y: number): number | undefined {
  const column = Math.floor((x - plan.left + plan.gap / 2) / plan.pitch);
  const row = Math.floor((y - plan.top + plan.gap / 2) / plan.pitchDown);
  const found = heads.findIndex((head) => head.row === row && head.column === column);
  return found < 0 ? undefined : found;
}

/** The head that an arrow key leads to; the same one at the edge. */
export function neighbour(heads: Head[], from: number, key: string): number | undefined {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[key];
  if (!step) return undefined;
  const { row, column } = heads[from];
  const found = heads.findIndex((head) => head.row === row + step[0] && head.column === column + step[1]);
  return found < 0 ? from : found;
}
