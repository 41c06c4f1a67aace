/** What the tokens view says about its values, in words. No DOM. */
import { fixed, general, tick } from '../number';
import { beyond, type Scale } from '../scale';
import type { Numbers } from '../wire';
import { say } from '../words';

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
  if (!summary.finite) return summary.nan && !summary.infinite ? say('tokens.none') : '';
  const value = withUnit(general(summary.mean), quantity);
  return say(summary.infinite ? 'tokens.mean.finite' : 'tokens.mean', { value, n: general(summary.finite) });
}

/** At the foot: what does not fit the scale, what has no value, and when there is nothing to compare. */
export function notes(summary: Summary, scale: Scale | null, quantity: QuantityJson, reference: ReferenceJson | null) {
  const parts: string[] = [];
  if (summary.equal !== undefined) {
    const value = withUnit(short(summary.equal), quantity);
    parts.push(say(summary.nan ? 'tokens.othersEqual' : 'tokens.allEqual', { value }));
  }
  if (scale && summary.above + summary.below) {
    parts.push(say('tokens.bar', { what: outside(summary, scale, quantity, reference) }));
  }
  if (summary.hatched) parts.push(say('tokens.hatched', { n: general(summary.hatched) }));
  return parts.join(' · ');
}

function outside({ above, below }: Summary, scale: Scale, quantity: QuantityJson, reference: ReferenceJson | null) {
  const [low, high] = scale.limits;
  if (scale.ramp === 'signed') {
    return say('tokens.beyond', { n: general(above + below), limit: withUnit(tick(high), quantity) });
  }
  const name = reference && Math.abs(reference.value - high) <= 1e-6 * Math.abs(high) ? `, ${reference.name}` : '';
  const parts = [];
  const limit = (value: number) => withUnit(tick(value), quantity);
  if (above) parts.push(say('tokens.above', { n: general(above), limit: limit(high) + name }));
  if (below) parts.push(say('tokens.below', { n: general(below), limit: limit(low) }));
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
  return n ? say('tokens.bytes', { n: fixed(n, 0) }) : '';
}

/** All keys of the view and what they do. */
export function keysOf(): [key: string, what: string][] {
  return [
    ['← → ↑ ↓', say('tokens.key.arrows')],
    ['Home End', say('tokens.key.ends')],
    ['Enter', say('keys.pin')],
    ['Shift Space', say('tokens.key.add')],
    ['Esc', say('keys.letGo')],
    ['m', say('keys.spaces')],
  ];
}
