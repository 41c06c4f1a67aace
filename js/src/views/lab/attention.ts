/** How what is pointed at becomes a row or a column, and what is said of the numbers. */
import type { Hover } from '../../figure.svelte';
import type { Focus } from '../../parts/heatmap';
import type { Head } from '../../parts/headgrid';
import type { Direction, Pattern, Tile } from '../../pattern/pattern';
import { tick } from '../../number';
import type { Curve, Scale } from '../../scale';
import type { Selection } from '../../selection';
import { errorOf, type NdArray } from '../../wire';
import { say } from '../../words';
import type { AttentionProps } from './attentionsheets';

export type Mode = Curve | 'row' | 'head';

/** What several heads are made into. */
export const COMBINES = ['mean', 'max', 'sum'] as const;
export type Combine = (typeof COMBINES)[number];

/** The scales that `s` goes through. A bend needs its zero at an end (or, signed, in the middle). */
export function modesOf(scale: Pick<Scale, 'ramp' | 'limits'>): Mode[] {
  if (scale.ramp === 'signed') return ['linear', 'sqrt', 'row', 'head'];
  return scale.limits[0] === 0 ? ['linear', 'sqrt', 'log', 'row', 'head'] : ['linear'];
}

/** A row spreads over hundreds of patches: on a scale to 1 nothing of it would be seen over a picture. */
export function modeAtFirst({ images, scale }: Pick<AttentionProps, 'images' | 'scale'>): Mode {
  return images?.some(({ pixels }) => pixels) && modesOf(scale).includes('row') ? 'row' : 'linear';
}

/** The scale of a mode; `full` is what its end stands for, where it is not the scale's own. */
export function scaleOf(scale: Pick<Scale, 'ramp' | 'limits'>, mode: Mode, full?: number): Scale {
  const end = mode === 'row' ? 1 : full;
  const limits: [number, number] =
    end === undefined ? scale.limits : scale.ramp === 'signed' ? [-(end || 1), end || 1] : [0, end || 1];
  return { ramp: scale.ramp, limits, curve: mode === 'row' || mode === 'head' ? undefined : mode };
}

export function scaleLabel(quantity: string, mode: Mode, full: number): string {
  if (mode === 'row') return say('attention.perRow');
  if (mode === 'head') return say('attention.full', { quantity, limit: Number(full.toPrecision(3)) });
  return `${quantity}, ${mode === 'sqrt' ? '√' : mode}`;
}

/**
 * The heads picked in the figure's selection, in that order: layers and heads of one length go together, of others every
 * combination counts, and an axis on which nothing is picked is that of the head that is open otherwise.
 */
export function openHeads(heads: Head[], selection: Selection, otherwise: number): number[] {
  const { layer, head } = heads[otherwise];
  const [layers, numbers] = [selection.layers, selection.heads];
  if (!layers.length && !numbers.length) return [otherwise];
  const [downs, acrosses] = [layers.length ? layers : [layer], numbers.length ? numbers : [head]];
  const pairs =
    downs.length === acrosses.length
      ? downs.map((layer, i) => [layer, acrosses[i]])
      : downs.flatMap((layer) => acrosses.map((head) => [layer, head]));
  const place = new Map(heads.map((item, i) => [`${item.layer} ${item.head}`, i]));
  const found = pairs.map(([layer, head]) => place.get(`${layer} ${head}`)).filter((i) => i !== undefined);
  return found.length ? [...new Set(found)] : [otherwise];
}

/**
 * The row or column pointed at: the hovered one, else the picked one, else the last token; and the other end of the
 * cell, where one is pointed at.
 */
export function pointedAt(
  direction: Direction,
  hover: Hover,
  selection: Selection,
  sizes: { queries: number; keys: number; causal: boolean; first?: number },
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
  return cell(by ? own - 1 : (sizes.first ?? own - 1), undefined);
}

/** The query that is asked about at first, where it is not the last: what stands for a whole image, as ViT's CLS does. */
export function firstAsked({ tokens, causal, images }: Pick<AttentionProps, 'tokens' | 'causal' | 'images'>) {
  return images && !causal && tokens.role[0] === 'CLS' ? 0 : undefined;
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
  errorAt = (value: number) => errorOf(value, precision),
): string {
  if (precision === 'exact') return say(inDecimals(limit) ? 'attention.exact4' : 'attention.exact');
  const factors = bound !== undefined;
  const name =
    precision === 'sqrt8' ? say('attention.sqrt8') : factors ? say('attention.factors', { precision }) : precision;
  if (answered) return say('attention.live', { precision: name });
  // A measured bound is rounded up: what is said then holds.
  if (factors) return say('attention.bound', { precision: name, error: Math.ceil(bound * 1e5) / 1e5 });
  const error = Number(errorAt(limit).toPrecision(1));
  return say('attention.error', { precision: name, error, limit: tick(limit) });
}

/** All keys of the view and what they do. */
export function keysOf(
  several: boolean,
  heads: boolean,
  answers = false,
  images = false,
): [key: string, what: string][] {
  const texts: [string, string][] = [[', .', say('attention.key.texts')]];
  const grid: [string, string][] = [
    ['[ ]', say('attention.key.heads')],
    ['{ }', say('attention.key.layers')],
    ['Shift ← →', say('attention.key.several')],
    ['Ctrl ← → Space', say('attention.key.lead')],
    ['c', say('attention.key.combine')],
  ];
  return [
    ['← → ↑ ↓', say('attention.key.arrows')],
    ['Home End', say('attention.key.ends')],
    ['PgUp PgDn', say('attention.key.pages')],
    ['+ − 0', say('attention.key.zoom')],
    [say('attention.key.drag'), say('attention.key.brush')],
    ['g', say('attention.key.find')],
    ['o', say('attention.key.pooling')],
    ['Enter', say('keys.pin')],
    ['Esc', say('keys.letGo')],
    ['t', say('attention.key.turn')],
    ['Shift ← → Space', say('attention.key.together')],
    ['s', say('attention.key.scale')],
    ...(answers ? [['n p', say('attention.key.answer')] satisfies [string, string]] : []),
    ['q', say('attention.key.products')],
    ['l', say('attention.key.lines')],
    ['m', say('keys.spaces')],
    ...(images ? [['i', say('attention.key.image')] satisfies [string, string]] : []),
    ...(heads ? grid : []),
    ...(several ? texts : []),
  ];
}
