/** A value scale: which ramp, which limits, and where a value falls on it. */
import type { Ramp } from './color';

export interface Scale {
  ramp: Ramp;
  /** Values at the two ends of the ramp; symmetric for `signed`. */
  limits: [number, number];
}

/** Where a value lies, 0 … 1 and beyond when it exceeds the limits; NaN stays NaN. A scale of no width shows 0. */
export function position(scale: Scale, value: number): number {
  const [low, high] = scale.limits;
  if (Number.isNaN(value)) return NaN;
  if (high === low) return scale.ramp === 'signed' ? 0.5 : value > high ? 2 : value < low ? -1 : 0;
  return (value - low) / (high - low);
}

/** Is the value above (1), below (−1) or within (0) the limits, beyond what rounding explains? */
export function beyond(scale: Scale, value: number): -1 | 0 | 1 {
  const [low, high] = scale.limits;
  const slack = 1e-6 * Math.max(Math.abs(low), Math.abs(high));
  return value > high + slack ? 1 : value < low - slack ? -1 : 0;
}

/** At most four round ticks inside the limits, the ends included where they are the limits. */
export function ticks(scale: Scale): number[] {
  const [low, high] = scale.limits;
  if (!(high > low)) return [low];
  if (scale.ramp === 'signed') return [low, 0, high];
  const rough = (high - low) / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.8) ?? rough;
  const inner: number[] = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) inner.push(Number((k * step).toPrecision(12)));
  const apart = (high - low) * 0.12;
  return [low, ...inner.filter((t) => t - low > apart && high - t > apart), high];
}
