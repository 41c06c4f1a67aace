/** What the tokens view says about its values, in words. No DOM. */
import { fixed, general, tick } from '../number';
import { beyond, type Scale } from '../scale';
import type { Numbers } from '../wire';

export interface QuantityJson {
  name: string;
  unit: string;
}

export interface ReferenceJson {
  value: number;
  name: string;
}

export interface Summary {
  /** Values that are neither NaN nor infinite. */
  finite: number;
  nan: number;
  /** The NaN that are seen as a hatch: the chip of a special token has none. */
  hatched: number;
  infinite: number;
  above: number;
  below: number;
  /** Of the finite ones. */
  mean: number;
  /** The value that all of them share, if they do. */
  equal?: number;
}

export function summarize(values: ArrayLike<number>, scale: Scale | null, special: boolean[]): Summary {
  const summary = { finite: 0, nan: 0, hatched: 0, infinite: 0, above: 0, below: 0, mean: NaN };
  let [sum, low, high] = [0, Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (Number.isNaN(value)) {
      summary.nan++;
      if (!special[i]) summary.hatched++;
      continue;
    }
    const side = scale ? beyond(scale, value) : 0;
    if (side > 0) summary.above++;
    if (side < 0) summary.below++;
    low = Math.min(low, value);
    high = Math.max(high, value);
    if (Number.isFinite(value)) {
      summary.finite++;
      sum += value;
    } else summary.infinite++;
  }
  const equal = low === high && summary.finite + summary.infinite > 1 ? low : undefined;
  return { ...summary, mean: sum / summary.finite, equal };
}

/** Under the text: "mean 4.47 nats over 30 tokens". */
export function meanLine(summary: Summary, quantity: QuantityJson): string {
  if (!summary.finite) return summary.nan && !summary.infinite ? 'no token has a value' : '';
  const left = summary.infinite ? ' with a finite value' : '';
  return `mean ${withUnit(general(summary.mean), quantity)} over ${plural(summary.finite, 'token')}${left}`;
}

/** At the foot: what does not fit the scale, what has no value, and when there is nothing to compare. */
export function notes(summary: Summary, scale: Scale | null, quantity: QuantityJson, reference: ReferenceJson | null) {
  const parts: string[] = [];
  if (summary.equal !== undefined) {
    const which = summary.nan ? 'all other values' : 'all values';
    parts.push(`${which} equal ${withUnit(short(summary.equal), quantity)}`);
  }
  if (scale && summary.above + summary.below) parts.push(`bar on top: ${outside(summary, scale, quantity, reference)}`);
  if (summary.hatched) parts.push(`hatched: ${plural(summary.hatched, 'token')} without a value`);
  return parts.join(' · ');
}

function outside({ above, below }: Summary, scale: Scale, quantity: QuantityJson, reference: ReferenceJson | null) {
  const [low, high] = scale.limits;
  if (scale.ramp === 'signed') return `${plural(above + below, 'token')} beyond ±${withUnit(tick(high), quantity)}`;
  const name = reference && Math.abs(reference.value - high) <= 1e-6 * Math.abs(high) ? `, ${reference.name}` : '';
  const parts = [];
  if (above) parts.push(`${plural(above, 'token')} above ${withUnit(tick(high), quantity)}${name}`);
  if (below) parts.push(`${plural(below, 'token')} below ${withUnit(tick(low), quantity)}`);
  return parts.join(', ');
}

/** Without the zeros at the end where nothing was cut. */
function short(value: number): string {
  const text = general(value);
  return Number(value.toPrecision(4)) === value && !text.includes('e')
    ? text.replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, '')
    : text;
}

export function withUnit(text: string, { unit }: QuantityJson): string {
  return unit ? `${text} ${unit}` : text;
}

export function plural(n: number, noun: string): string {
  return `${general(n)} ${noun}${n === 1 ? '' : 's'}`;
}

/**
 * Every digit of a value that travelled exactly: the shortest decimal that gives it back in its own precision. Empty
 * where the four digits of a read-out already do.
 */
export function allDigits(values: Numbers, i: number): string {
  const value = values[i];
  if (!Number.isFinite(value) || Number.isInteger(value)) return '';
  let text = String(value);
  if (values instanceof Float32Array) {
    for (let digits = 1; digits <= 9; digits++) {
      text = String(Number(value.toPrecision(digits)));
      if (Math.fround(Number(text)) === value) break;
    }
  }
  const minus = text.replaceAll('-', '−');
  return Number(text) === Number(value.toPrecision(4)) ? '' : minus;
}

/** How many bytes a token holds, where it is known; special tokens hold none. */
export function bytesOf(n: number): string {
  return n ? `${fixed(n, 0)} byte${n === 1 ? '' : 's'}` : '';
}
