/** What the tokens view says about its values, in words. No DOM. */
import { fixed, general, tick } from '../number';
import { continuesWord } from '../parts/mergedtokens';
import { STATE } from '../parts/tokentext';
import { beyond, type Scale } from '../scale';
import type { NdArray, Numbers } from '../wire';
import { say } from '../words';
import type { TokensJson } from './types';

export interface QuantityJson {
  name: string;
  unit: string;
}

export interface ReferenceJson {
  value: number;
  name: string;
}

/** One number a token, as mechviz/views/_token_channels.py sends it. */
export interface ChannelJson {
  /** What it is called in the switch. */
  label: string;
  values: NdArray | null;
  quantity: QuantityJson;
  /** Null where there is nothing to scale. */
  scale: Scale | null;
  reference: ReferenceJson | null;
  merge: 'sum' | 'mean' | 'max';
}

/** What a value is of: a token, or what was merged. */
export type Merged = 'tokens' | 'words' | 'spans';

/** The first position of the word or span that each position lies in. A word is what stands between white space. */
export function unitsOf(tokens: TokensJson, merged: Merged, spans: NdArray | null, starts: number[]): Int32Array {
  const { text } = tokens;
  const units = Int32Array.from(text, (_, i) => i);
  if (merged === 'spans') {
    for (let k = 0; spans && k < spans.data.length; k += 2) units.fill(spans.data[k], spans.data[k], spans.data[k + 1]);
  } else if (merged === 'words') {
    const firsts = new Set(starts);
    for (let i = 1; i < units.length; i++) {
      if (!firsts.has(i) && continuesWord(tokens, i)) units[i] = units[i - 1];
    }
  }
  return units;
}

/** All positions of the word or span that a position lies in. */
export function unitOf(units: Int32Array, i: number): number[] {
  const found = [];
  for (let k = units[i]; units[k] === units[i]; k++) found.push(k);
  return found;
}

/** The value of its word or span for every position: one NaN makes all of it NaN. "max" is of size, with its sign. */
export function mergedValues(values: Numbers, units: Int32Array, rule: ChannelJson['merge']): Float64Array {
  const found = new Float64Array(values.length);
  for (let i = 0; i < found.length;) {
    let end = i;
    let value = 0;
    for (; end < found.length && units[end] === units[i]; end++) {
      const next = values[end];
      if (rule !== 'max') value += next;
      else if (Number.isNaN(next) || Math.abs(next) > Math.abs(value)) value = next;
      if (Number.isNaN(value)) value = NaN;
    }
    found.fill(rule === 'mean' ? value / (end - i) : value, i, end);
    i = end;
  }
  return found;
}

/** A channel with merged values; a sum may be larger than any value of a token, and its scale reaches as far. */
export function mergedChannel(channel: ChannelJson, units: Int32Array): ChannelJson {
  if (!channel.values) return channel;
  const data = mergedValues(channel.values.data, units, channel.merge);
  let { scale, reference } = channel;
  if (scale && channel.merge === 'sum') {
    let [low, high] = scale.limits;
    for (const value of data) {
      if (!Number.isFinite(value)) continue;
      if (scale.ramp === 'signed') high = Math.max(high, Math.abs(value));
      else [low, high] = [Math.min(low, value), Math.max(high, value)];
    }
    scale = { ...scale, limits: scale.ramp === 'signed' ? [-high, high] : [low, high] };
    reference = null; // it is one of a token
  }
  return { ...channel, values: { ...channel.values, data }, scale, reference };
}

/** What is said of tokens beside their values: those without a partner, hits of a search, words that are one. */
export function statesOf(count: number, alone: NdArray | null, hits: [number, number][], units: Int32Array | null) {
  if (!alone && !hits.length && !units) return undefined;
  const states = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    if (alone && alone.data[i] < 0) states[i] |= STATE.alone;
    if (units && units[i] === units[i + 1]) states[i] |= STATE.glued;
  }
  for (const [first, last] of hits) for (let i = first; i <= last; i++) states[i] |= STATE.found;
  return states;
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
export function keysOf(channels: number, merges: boolean): [key: string, what: string][] {
  const several: [string, string][] = [
    [channels > 9 ? '1 … 9' : `1 … ${channels}`, say('tokens.key.channel')],
    ['[ ]', say('tokens.key.next')],
    ['0', say('tokens.key.all')],
  ];
  return [
    ['← → ↑ ↓', say('tokens.key.arrows')],
    ['Home End', say('tokens.key.ends')],
    ['Shift ←', say('tokens.key.span')],
    ['Enter', say('keys.pin')],
    ['Shift Space', say('tokens.key.add')],
    ['Esc', say('keys.letGo')],
    ['/', say('tokens.key.search')],
    ...(channels > 1 ? several : []),
    ...(merges ? [['w', say('tokens.key.merge')] as [string, string]] : []),
    ['m', say('keys.spaces')],
  ];
}
