/** The axes of a chart without a DOM: linear and logarithmic scales, what is shown of them, and their ticks. */
import { fixed } from '../number';
import type { Numbers } from '../wire';

/** An axis as Python sends it. */
export interface AxisJson {
  /** Quantity and unit: "loss, nats". */
  label: string;
  log: boolean;
  /** What is shown at first; all of the data where it is null. */
  limits: [number, number] | null;
}

/** The stretch of an axis that is shown, in units of the axis: on a logarithmic one, powers of ten. */
export type Stretch = readonly [from: number, to: number];

export interface Tick {
  /** In units of the axis. */
  at: number;
  text: string;
}

/** Values in units of the axis; what has no place on it is NaN. The same array where nothing is to be done. */
export function placed(values: Numbers, log: boolean): Numbers {
  if (!log) return values;
  const out = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) out[i] = values[i] > 0 ? Math.log10(values[i]) : NaN;
  return out;
}

export function place(value: number, log: boolean): number {
  return !log ? value : value > 0 ? Math.log10(value) : NaN;
}

/** Smallest and largest finite number of some columns; undefined without one. */
export function extentOf(...columns: (Numbers | undefined)[]): Stretch | undefined {
  let [low, high] = [Infinity, -Infinity];
  for (const values of columns) {
    if (!values) continue;
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (value < low && value > -Infinity) low = value;
      if (value > high && value < Infinity) high = value;
    }
  }
  return low <= high ? [low, high] : undefined;
}

/** An extent with room at its ends, so that no mark lies on the border; one of no width is given some. */
export function roomy(extent: Stretch | undefined, share: number): Stretch {
  if (!extent) return [0, 1];
  const [low, high] = extent;
  const room = high > low ? (high - low) * share : Math.abs(low) * 0.1 || 0.5;
  return [low - room, high + room];
}

/** A stretch made wider or narrower about a point that keeps its place, and kept within `all`. */
export function zoomed([from, to]: Stretch, factor: number, about: number, all: Stretch): Stretch {
  // Beyond this the steps of float64 would show.
  const least = Math.max(Math.abs(all[0]), Math.abs(all[1])) * 1e-11;
  const span = Math.min(all[1] - all[0], Math.max(least, (to - from) * factor));
  const share = (about - from) / (to - from);
  return moved([about - share * span, about + (1 - share) * span], 0, all);
}

/** A stretch moved along its axis, as far as there is something to see. */
export function moved([from, to]: Stretch, by: number, all: Stretch): Stretch {
  const span = to - from;
  const start = Math.max(all[0], Math.min(all[1] - span, from + by));
  return [start, start + span];
}

/** The smallest stretch that holds both. */
export function joined(a: Stretch, b: Stretch): Stretch {
  return [Math.min(a[0], b[0]), Math.max(a[1], b[1])];
}

/**
 * Round ticks, about `count` of them: 1, 2 or 5 times a power of ten apart, and at least `apart`. On a logarithmic axis
 * powers of ten.
 */
export function ticksOf(stretch: Stretch, log: boolean, count: number, apart = 0): Tick[] {
  return log ? logTicks(stretch, count) : linearTicks(stretch, count, apart);
}

function linearTicks([from, to]: Stretch, count: number, apart: number): Tick[] {
  const step = Math.max(apart, roundStep((to - from) / Math.max(1, count)));
  const found = multiples(from, to, step);
  const largest = Math.max(...found.map(Math.abs));
  return found.map((at) => ({ at, text: tickText(at, step, largest) }));
}

function logTicks([from, to]: Stretch, count: number): Tick[] {
  const decades = Math.floor(to + 1e-9) - Math.ceil(from - 1e-9) + 1;
  if (decades >= 2) {
    const every = Math.max(1, Math.ceil(decades / Math.max(1, count)));
    const mantissas = decades * 3 <= count ? [1, 2, 5] : [1];
    return decadeTicks(from, to, every, mantissas);
  }
  const between = decadeTicks(from, to, 1, [1, 2, 5]);
  if (between.length >= 3) return between;
  // Less than a decade: round values, wherever they lie.
  const ends: Stretch = [10 ** from, 10 ** to];
  const step = roundStep((ends[1] - ends[0]) / Math.max(1, count));
  return multiples(...ends, step)
    .filter((value) => value > 0)
    .map((value) => ({ at: Math.log10(value), text: tickText(value, step) }));
}

function decadeTicks(from: number, to: number, every: number, mantissas: number[]): Tick[] {
  const ticks: Tick[] = [];
  for (let power = Math.floor(from); power <= to; power++) {
    if (power % every !== 0) continue;
    for (const mantissa of mantissas) {
      const at = power + Math.log10(mantissa);
      if (at >= from - 1e-9 && at <= to + 1e-9) ticks.push({ at, text: tickText(mantissa * 10 ** power, 10 ** power) });
    }
  }
  return ticks;
}

/** 1, 2, 5 or 10 times a power of ten, whichever is nearest as a ratio. */
function roundStep(raw: number): number {
  const power = 10 ** Math.floor(Math.log10(raw));
  const lead = raw / power;
  return power * (lead < Math.SQRT2 ? 1 : lead < Math.sqrt(10) ? 2 : lead < Math.sqrt(50) ? 5 : 10);
}

function multiples(from: number, to: number, step: number): number[] {
  const found: number[] = [];
  const slack = 1e-9 * (to - from);
  for (let k = Math.ceil((from - slack) / step); k * step <= to + slack && found.length < 100; k++) {
    found.push(Number((k * step).toPrecision(14)));
  }
  return found;
}

/**
 * A tick's number with as many digits as tell it from the next one, `step` away; written as the `largest` of its axis.
 */
export function tickText(value: number, step: number, largest = Math.abs(value)): string {
  if (value === 0) return '0';
  const power = (x: number) => Math.floor(Math.log10(Math.abs(x)) + 1e-9);
  const decimals = Math.max(0, -power(step));
  const plain = decimals <= 4 || (largest >= 1e-3 && decimals <= 12);
  if (largest < 1e6 && plain) {
    const [whole, fraction] = fixed(value, decimals).split('.');
    const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
    return fraction === undefined ? grouped : `${grouped}.${fraction}`;
  }
  const digits = Math.max(0, Math.min(15, power(value) - power(step)));
  return value.toExponential(digits).replace('e+', 'e').replaceAll('-', '−');
}
