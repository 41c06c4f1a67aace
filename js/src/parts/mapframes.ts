/** Frames and lines over the cells of a map, as paths, worked out without a DOM. */
import { visible, type Cell } from '../pattern/pattern';
import { keyAt, queryAt, type Focus, type Plan } from './heatmap';

type Span = readonly [first: number, last: number];

/** The edges of what a weight is drawn with, from where cells begin: its own cell or the pooled one it lies in. */
function span(plan: Plan, axis: 'query' | 'key', index: number): [start: number, size: number] {
  const block = Math.floor((index - plan.from[axis]) / plan.step);
  return [block * plan.cell, plan.cell - plan.gap];
}

/** Where a cell is drawn, from where cells begin; of a query or key alone, the edge where its row or column begins. */
export function boxOf(
  plan: Plan,
  { query, key }: Partial<Cell>,
): [x: number, y: number, w: number, h: number] | undefined {
  const inside = (axis: 'query' | 'key', at: number | undefined) =>
    at === undefined || (at >= plan.from[axis] && at < plan.to[axis]);
  if (!inside('query', query) || !inside('key', key)) return undefined;
  const [x, wide] = key === undefined ? [0, 0] : span(plan, 'key', key);
  const diagonal = plan.keyLabels === 'diagonal' && key !== undefined;
  const [y, high] = query === undefined ? [diagonal ? x : 0, 0] : span(plan, 'query', query);
  return [x, y, wide, high];
}

/** A frame round the cells of these queries and keys as far as they are shown, its line just outside of them. */
function frameOf(plan: Plan, query: Span, key: Span, further = 0): string {
  const [q0, q1] = [Math.max(query[0], plan.from.query), Math.min(query[1], plan.to.query - 1)];
  const [k0, k1] = [Math.max(key[0], plan.from.key), Math.min(key[1], plan.to.key - 1)];
  if (q0 > q1 || k0 > k1) return '';
  const out = (plan.gap ? 1.5 : 0.75) + further;
  const [top] = span(plan, 'query', q0);
  const [left] = span(plan, 'key', k0);
  const [bottom, height] = span(plan, 'query', q1);
  const [right, width] = span(plan, 'key', k1);
  const [x, y] = [plan.left + left - out, plan.top + top - out];
  const [w, h] = [right + width - left + 2 * out, bottom + height - top + 2 * out];
  return `M${x} ${y}h${w}v${h}h${-w}z`;
}

export function cellFrame(plan: Plan, { query, key }: Cell, further = 0): string {
  return frameOf(plan, [query, query], [key, key], further);
}

/** Round a row, or a column, as far as the mask leaves it. */
export function lineFrame(
  plan: Plan,
  { direction }: Focus,
  causal: boolean,
  index: number,
  down: number,
  across: number,
): string {
  return direction === 'by'
    ? frameOf(plan, [causal ? index : 0, down - 1], [index, index])
    : frameOf(plan, [index, index], [0, visible({ keys: across, causal }, index) - 1]);
}

/** From the key's label down to the cell; in a column, from the query's label across to it. */
export function hairlines(plan: Plan, cell: Cell, by: boolean): string {
  if (!cellFrame(plan, cell)) return '';
  const [top, height] = span(plan, 'query', cell.query);
  const [left, width] = span(plan, 'key', cell.key);
  const [x, y] = [plan.left + left, plan.top + top];
  if (by) return `M${plan.left - 4} ${y - 0.5}H${x - 1.5}M${plan.left - 4} ${y + height + 0.5}H${x - 1.5}`;
  // On the diagonal the label stands to the right of its cell: the right line begins below it.
  const diagonal = plan.keyLabels === 'diagonal';
  const from = diagonal ? plan.top + left : plan.top - 4;
  const fromRight = diagonal ? Math.min(from + height, y - 1.5) : from;
  return `M${x - 0.5} ${from}V${y - 1.5}M${x + width + 0.5} ${fromRight}V${y - 1.5}`;
}

/** Lines before the query and the key with which an answer begins, as far as they are shown: what the mask leaves out has none. */
export function boundaryLines(plan: Plan, query: number | undefined, key: number | undefined, causal: boolean): string {
  const shown = (at: number | undefined, axis: 'query' | 'key') =>
    at !== undefined && at > plan.from[axis] && at < plan.to[axis];
  const half = plan.gap / 2;
  const [bottom, right] = [plan.top + plan.height - plan.gap, plan.left + plan.width - plan.gap];
  let path = '';
  if (shown(query, 'query')) {
    const [y, end] = [queryAt(plan, query!) - half, causal ? keyAt(plan, query!) - half : right];
    path += `M${plan.left - 6} ${y}H${end}`;
  }
  if (shown(key, 'key')) {
    const [x, start] = [keyAt(plan, key!) - half, causal ? queryAt(plan, key!) - half : plan.top];
    path += `M${x} ${start}V${bottom}`;
  }
  return path;
}
