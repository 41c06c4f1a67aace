/** Runs of the lab bench as Python sends them (mechviz/bench.py), and what is read of two of them. No DOM. */
import type { LazyArray } from '../figure.svelte';
import { general, tick } from '../number';
import type { Tile } from '../pattern/pattern';
import type { NdArray } from '../wire';

export interface Entry {
  /** Sites and the kind of edit: "L1H0 zero"; "" for the model as it is. */
  key: string;
  /** "L1H0 → zero". */
  label: string;
  /** Labels of the tokens that are most probable before or after. */
  next: string[];
  /** Milliseconds of the kernel. */
  took: number;
}

/** Runs one below the other. */
export interface RunsJson {
  entries: Entry[];
  /** The logit, then what each part adds to it. */
  numbers: NdArray;
  /** Probability before and after of each of `next`. */
  bars: NdArray;
  loss: NdArray;
  /** Thumbnails of the last layers, as many as differ; null where none does. */
  patterns: (NdArray | LazyArray | null)[];
}

export interface Run extends Entry {
  logit: number;
  terms: Float64Array;
  before: Float32Array;
  after: Float32Array;
  loss: Float32Array;
  patterns: NdArray | LazyArray | null;
}

export interface Part {
  name: string;
  /** What may be clicked; null for biases and the like. */
  site: string | null;
}

export function runsOf(json: RunsJson): Run[] {
  const row = <T extends Float32Array | Float64Array>({ data, shape }: NdArray, i: number) => {
    const size = shape.slice(1).reduce((product, n) => product * n, 1);
    return data.subarray(i * size, (i + 1) * size) as T;
  };
  return json.entries.map((entry, i) => {
    const numbers = row<Float64Array>(json.numbers, i);
    const bars = row<Float32Array>(json.bars, i);
    const half = bars.length / 2;
    return {
      ...entry,
      logit: numbers[0],
      terms: numbers.subarray(1),
      before: bars.subarray(0, half),
      after: bars.subarray(half),
      loss: row<Float32Array>(json.loss, i),
      patterns: json.patterns[i],
    };
  });
}

/** What the kernel answers: JSON beside its arrays, in the order of mechviz/bench.py. */
export function answered(value: unknown, arrays: NdArray[]): Run[] {
  const { entries, patterns } = value as { entries: Entry[]; patterns: boolean[] };
  const [numbers, bars, loss, ...thumbs] = arrays;
  return runsOf({ entries, numbers, bars, loss, patterns: patterns.map((own) => (own ? thumbs.shift()! : null)) });
}

/** Every head's thumbnail: those of the run where it has them, else the clean ones. */
export function tilesOf(clean: NdArray | undefined, changed: NdArray | undefined): Tile[] {
  if (!clean) return [];
  const [count, rows, cols] = clean.shape;
  const first = changed ? count - changed.shape[0] : count;
  return Array.from({ length: count }, (_, i) => {
    const [source, at] = i < first ? [clean, i] : [changed!, i - first];
    const values = source.data.subarray(at * rows * cols, (at + 1) * rows * cols);
    return { values, rows, cols, step: 1, origin: { query: 0, key: 0 } };
  });
}

/** What was done to each token's log probability: less loss is more probability. */
export function gains(before: Float32Array, after: Float32Array): Float64Array {
  return Float64Array.from(before, (loss, i) => loss - after[i]);
}

/** The largest size of a number; 0 of none. */
export function largest(values: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) if (Math.abs(values[i]) > most) most = Math.abs(values[i]);
  return most;
}

/** The next of 1, 2, 5, 10, … that is not smaller: limits that do not change with every click. */
export function roundUp(value: number): number {
  if (!(value > 0) || value === Infinity) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return unit * [1, 2, 5, 10].find((step) => step * unit >= value * (1 - 1e-9))!;
}

/** The indices of `values`, the largest size first, NaN left out. */
export function bySize(values: ArrayLike<number>): number[] {
  return Array.from(values, (_, i) => i)
    .filter((i) => !Number.isNaN(values[i]))
    .sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]) || a - b);
}

/** "+0.23", "−1.20", "0" where it prints as zero. */
export function signed(value: number, decimals: number): string {
  if (!Number.isFinite(value)) return general(value);
  const text = Math.abs(value).toFixed(decimals);
  return Number(text) === 0 ? '0' : `${value < 0 ? '−' : '+'}${text}`;
}

/** The class of a difference: none where it prints as zero. */
export function tone(value: number, decimals: number): string {
  return signed(value, decimals) === '0' ? '' : value < 0 ? 'minus' : 'plus';
}

/** Ticks of an axis from `low` to `high`, zero among them. */
export function axis(low: number, high: number): { at: number; text: string }[] {
  const step = roundUp((high - low) / 5);
  const marks = [];
  for (let k = Math.ceil(low / step); k * step <= high + step / 1e6; k++) marks.push(k * step || 0);
  return marks.map((at) => ({ at, text: at === 0 ? '0' : tick(at) }));
}

/** "L1H0" → its layer and head; "L1.mlp", "L1" and "L1N3" → the layer alone. */
export function placeOf(site: string): { layers: number[]; heads: number[] } {
  const found = /^L(\d+)(?:H(\d+))?/.exec(site);
  if (!found) return { layers: [], heads: [] };
  return { layers: [Number(found[1])], heads: found[2] === undefined ? [] : [Number(found[2])] };
}
