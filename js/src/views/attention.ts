/** How what is pointed at becomes a row or a column, and what is said of the numbers. */
import type { Hover } from '../figure.svelte';
import type { Focus } from '../parts/heatmap';
import type { Head } from '../parts/headgrid';
import type { Direction, Pattern, Tile } from '../pattern/pattern';
import { tick } from '../number';
import type { Curve, Scale } from '../scale';
import type { Selection } from '../selection';
import { errorOf, type NdArray } from '../wire';
import { say } from '../words';

export type Mode = Curve | 'row';

/** The scales that `s` goes through. A bend needs its zero at an end (or, signed, in the middle). */
export function modesOf(scale: Pick<Scale, 'ramp' | 'limits'>): Mode[] {
  if (scale.ramp === 'signed') return ['linear', 'sqrt', 'row'];
  return scale.limits[0] === 0 ? ['linear', 'sqrt', 'log', 'row'] : ['linear'];
}

export function scaleOf(scale: Pick<Scale, 'ramp' | 'limits'>, mode: Mode): Scale {
  if (mode === 'row') return { ramp: scale.ramp, limits: scale.ramp === 'signed' ? [-1, 1] : [0, 1] };
  return { ...scale, curve: mode };
}

export function scaleLabel(quantity: string, mode: Mode): string {
  return mode === 'row' ? say('attention.perRow') : `${quantity}, ${mode === 'sqrt' ? '√' : mode}`;
}

/** The head picked in the figure's selection, if it is one of these. */
export function openHead(heads: Head[], selection: Selection, otherwise: number): number {
  const [layer, head] = [selection.layers[0], selection.heads[0]];
  if (layer === undefined && head === undefined) return otherwise;
  const found = heads.findIndex(
    (item) => item.layer === (layer ?? heads[otherwise].layer) && item.head === (head ?? heads[otherwise].head),
  );
  return found < 0 ? otherwise : found;
}

/**
 * The row or column pointed at: the hovered one, else the picked one, else the last token; and the other end of the
 * cell, where one is pointed at.
 */
export function pointedAt(
  direction: Direction,
  hover: Hover,
  selection: Selection,
  sizes: { queries: number; keys: number; causal: boolean },
): Focus {
  const by = direction === 'by';
  const [own, others] = by ? [sizes.keys, sizes.queries] : [sizes.queries, sizes.keys];
  const within = (index: number | undefined, size: number) =>
    index !== undefined && index >= 0 && index < size ? index : undefined;
  const cell = (subject: number, partner: number | undefined): Focus => {
    const known = within(partner, others);
    const masked = known !== undefined && sizes.causal && (by ? known < subject : known > subject);
    return { direction, subject, partner: masked ? undefined : known };
  };
  const hovered = within((by ? hover.key : hover.query) ?? hover.position, own);
  if (hovered !== undefined) return cell(hovered, by ? hover.query : hover.key);
  const { queries, keys, positions } = selection;
  const picked = within((by ? keys[0] : queries[0]) ?? positions[0], own);
  // A query picked alone (a token in a text) says nothing about a cell.
  if (picked !== undefined)
    return cell(picked, queries.length && keys.length ? (by ? queries[0] : keys[0]) : undefined);
  return cell(own - 1, undefined);
}

/** One head's thumbnail, out of all of them. */
export function thumbOf(thumbs: NdArray, step: number, index: number): Tile {
  const [, rows, cols] = thumbs.shape;
  const values = thumbs.data.subarray(index * rows * cols, (index + 1) * rows * cols);
  return { values, rows, cols, step, origin: { query: 0, key: 0 } };
}

/** Whether weights up to `limit` are told with four decimals; very small and very large ones by their digits. */
export function inDecimals(limit: number): boolean {
  return limit >= 0.1 && limit < 1e4;
}

/** How exact the numbers are, for the foot; `answered` where the model's own have come from the kernel. */
export function exactness(
  { precision, error: bound }: Pick<Pattern, 'precision' | 'error'>,
  answered: boolean,
  limit: number,
): string {
  if (precision === 'exact') return say(inDecimals(limit) ? 'attention.exact4' : 'attention.exact');
  const factors = bound !== undefined;
  const name =
    precision === 'sqrt8' ? say('attention.sqrt8') : factors ? say('attention.factors', { precision }) : precision;
  if (answered) return say('attention.live', { precision: name });
  // A measured bound is rounded up: what is said then holds.
  if (factors) return say('attention.bound', { precision: name, error: Math.ceil(bound * 1e5) / 1e5 });
  const error = Number(errorOf(limit, precision).toPrecision(1));
  return say('attention.error', { precision: name, error, limit: tick(limit) });
}

/** All keys of the view and what they do. */
export function keysOf(several: boolean): [key: string, what: string][] {
  const texts: [string, string][] = [[', .', say('attention.key.texts')]];
  return [
    ['← → ↑ ↓', say('attention.key.arrows')],
    ['Home End', say('attention.key.ends')],
    ['PgUp PgDn', say('attention.key.pages')],
    ['Enter', say('keys.pin')],
    ['Esc', say('keys.letGo')],
    ['t', say('attention.key.turn')],
    ['s', say('attention.key.scale')],
    ['m', say('keys.spaces')],
    ['[ ]', say('attention.key.heads')],
    ['{ }', say('attention.key.layers')],
    ...(several ? texts : []),
  ];
}
