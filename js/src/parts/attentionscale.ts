/** The scales of an attention view: all heads on one, every head on its own, every row on its own. */
import type { Curve, Scale } from '../scale';
import { say } from '../words';
import type { AttentionProps } from './attentionsheets';

export type Mode = Curve | 'row' | 'head';

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

/** Whether weights up to `limit` are told with four decimals; very small and very large ones by their digits. */
export function inDecimals(limit: number): boolean {
  return limit >= 0.1 && limit < 1e4;
}
