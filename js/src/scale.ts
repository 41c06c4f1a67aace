/** A value scale: which ramp, which limits, and where a value falls on it. */
import type { Ramp } from './color';

export interface Scale {
  ramp: Ramp;
  /** Values at the two ends of the ramp; symmetric for `signed`. */
  limits: [number, number];
  /** How values between the limits are spread over the ramp; linear where not given. The limits keep their place. */
  curve?: Curve;
}
export type Curve = 'linear' | 'sqrt' | 'log';

/** A logarithmic scale begins this many powers of ten below its limit. */
const DECADES = 4;

/** Where a value lies, 0 … 1 and beyond when it exceeds the limits; NaN stays NaN. A scale of no width shows 0. */
export function position(scale: Scale, value: number): number {
  const [low, high] = scale.limits;
  if (Number.isNaN(value)) return NaN;
  if (high === low) return scale.ramp === 'signed' ? 0.5 : value > high ? 2 : value < low ? -1 : 0;
  const part = partOf(scale);
  const t = (value * part - low * part) / (high * part - low * part);
  if (!scale.curve || scale.curve === 'linear') return t;
  // A signed scale is bent on both arms alike: its centre stays zero.
  return scale.ramp === 'signed' ? (bend(scale.curve, 2 * t - 1) + 1) / 2 : bend(scale.curve, t);
}

/** Of limits so far apart that their distance is infinite, halves are worked with. */
function partOf({ limits: [low, high] }: Scale): number {
  return high - low < Infinity ? 1 : 0.5;
}

function bend(curve: Curve, t: number): number {
  const size = Math.abs(t);
  return Math.sign(t) * (curve === 'sqrt' ? Math.sqrt(size) : Math.max(0, 1 + Math.log10(size) / DECADES));
}

/** `position` of one scale, for very many numbers. */
export function positions(scale: Scale): (value: number) => number {
  const [low, high] = scale.limits;
  if (high === low || (scale.curve && scale.curve !== 'linear')) return (value) => position(scale, value);
  const part = partOf(scale);
  const [from, width] = [low * part, high * part - low * part];
  return (value) => (value * part - from) / width;
}

/** The limits, with what rounding explains: a number between them is neither above nor below the scale. */
export function within({ limits: [low, high] }: Scale, share = 1e-6): [least: number, most: number] {
  const slack = share * Math.max(Math.abs(low), Math.abs(high));
  return [low - slack, high + slack];
}

/** Is the value above (1), below (−1) or within (0) the limits, beyond what rounding explains? */
export function beyond(scale: Scale, value: number): -1 | 0 | 1 {
  const [least, most] = within(scale);
  return value > most ? 1 : value < least ? -1 : 0;
}

/** At most four round ticks inside the limits, the ends included where they are the limits. */
export function ticks(scale: Scale): number[] {
  const [low, high] = scale.limits;
  if (!(high > low)) return [low];
  if (scale.ramp === 'signed') return [low, 0, high];
  if (partOf(scale) < 1) return ticks({ ...scale, limits: [low / 2, high / 2] }).map((tick) => 2 * tick);
  const shares = { linear: null, sqrt: [0, 0.1, 0.5, 1], log: [10 ** -DECADES, 0.01, 0.1, 1] }[scale.curve ?? 'linear'];
  if (shares) return shares.map((share) => low + share * (high - low));
  const power = 10 ** Math.floor(Math.log10((high - low) / 3));
  const apart = (high - low) * 0.12;
  for (const step of [1, 2, 2.5, 5, 10].map((m) => m * power)) {
    const inner: number[] = [];
    for (let k = Math.ceil(low / step); k * step <= high; k++) inner.push(Number((k * step).toPrecision(12)));
    const free = inner.filter((t) => t - low > apart && high - t > apart);
    if (free.length <= 2) return [low, ...free, high];
  }
  return [low, high];
}
