/** What is said of the numbers of an attention view, and its keys. */
import { tick } from '../number';
import type { Pattern } from '../pattern/pattern';
import { errorOf } from '../wire';
import { say } from '../words';
import type { AttentionReading } from './attentionreading.svelte';
import { inDecimals } from './attentionscale';
import type { AttentionProps } from './attentionsheets';
import { isAbsent, type OpenHead } from './openhead.svelte';

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

export interface Noted {
  data: AttentionProps;
  shown: OpenHead;
  reading: AttentionReading;
  /** Weights that are not a number or beyond the scale. */
  outside: { nan: number; above: number; below: number };
  /** How many are beyond the end that the reader has set. */
  beyond: number;
  /** The largest size that a weight can have. */
  limit: number;
  /** Numbers are told. */
  told: boolean;
}

/** What is said below the view: what is left out, what lies beyond the scale, how exact the numbers are. */
export function noteOf({ data, shown, reading, outside, beyond, limit, told }: Noted): string {
  if (shown.absent) {
    const kept = data.heads.filter((item) => !isAbsent(item.values)).length;
    return say('attention.kept', { n: kept, all: data.heads.length });
  }
  const notes = [reading.leftSaid()].filter(Boolean);
  const removed = reading.removed(shown.gone);
  if (removed) notes.push(say('reading.removed', { n: removed }));
  if (beyond) notes.push(say('reading.beyond', { n: beyond, limit: tick(reading.end!) }));
  if (outside.nan) notes.push(say('attention.nan', { n: outside.nan }));
  if (outside.above) notes.push(say('attention.above', { n: outside.above, limit: tick(data.scale.limits[1]) }));
  if (outside.below) notes.push(say('attention.below', { n: outside.below, limit: tick(data.scale.limits[0]) }));
  if (shown.pattern && told) {
    const { precision, error: own } = shown.pattern;
    const error = own === undefined || !reading.transform ? own : shown.carriedError(limit);
    notes.push(exactness({ precision, error }, shown.exact, limit, (v) => shown.carriedError(v)));
  }
  return notes.join(' · ');
}
