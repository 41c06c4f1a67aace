/** Runs of the lab bench as Python sends them (mechviz/bench.py), and what is read of two of them. No DOM. */
import { LazyArray } from '../figure.svelte';
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
  /** Those of the picture where they are the same; else these, with all of those among them. */
  parts?: Part[] | null;
  /** The logit, then what each part adds to it. */
  numbers: NdArray;
  /** Probability before and after of each of `next`. */
  bars: NdArray;
  loss: NdArray;
  /** Thumbnails of the last layers, as many as differ; null where none does. */
  patterns: (NdArray | LazyArray | null)[];
  /** The next tokens of every position: labels, which of them `[run, position, bar]`, `[run, position, 2, bar]`. */
  names?: string[];
  ahead?: NdArray | LazyArray | null;
  ahead_bars?: NdArray | LazyArray | null;
}

export interface Run extends Entry {
  /** Nothing of it is left in the kernel, as many thumbnails are of a run that was made while nobody asked. */
  whole: boolean;
  /** Where the next tokens of other positions are found. */
  ahead?: { of: RunsJson; row: number };
  logit: number;
  /** Of `terms`, where they are not those of the picture. */
  parts?: Part[] | null;
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

/** The most probable next tokens, before or after. */
export interface Next {
  next: string[];
  before: Float32Array;
  after: Float32Array;
}

export function runsOf(json: RunsJson, whole = true): Run[] {
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
      parts: json.parts,
      terms: numbers.subarray(1),
      before: bars.subarray(0, half),
      after: bars.subarray(half),
      loss: row<Float32Array>(json.loss, i),
      patterns: json.patterns[i],
      whole,
      ahead: json.ahead ? { of: json, row: i } : undefined,
    };
  });
}

/**
 * What the kernel answers: JSON beside its arrays, in the order of mechviz/bench.py. None where it answers of another text
 * than that of `desk`: the question was asked before an update, or is answered after one.
 */
export function answered(desk: number | undefined, value: unknown, arrays: NdArray[]): Run[] {
  type Made = { desk?: number; entries: Entry[]; parts?: Part[] | null; patterns: boolean[]; whole: boolean };
  const made = value as Made;
  if (made.desk !== desk) return [];
  const { entries, parts, patterns, whole } = made;
  const [numbers, bars, loss, ...thumbs] = arrays;
  const own = patterns.map((own) => (own ? thumbs.shift()! : null));
  return runsOf({ entries, parts, numbers, bars, loss, patterns: own }, whole);
}

/** The next tokens of a position of a run; undefined where they are not here (yet: `loadAhead`). */
export function aheadAt({ ahead }: Run, position: number): Next | undefined {
  const [ids, bars] = [ahead?.of.ahead, ahead?.of.ahead_bars].map(here);
  if (!ahead || !ids || !bars) return undefined;
  const [, positions, count] = ids.shape;
  const at = ahead.row * positions + position;
  const both = bars.data.subarray(2 * at * count, 2 * (at + 1) * count) as Float32Array;
  return {
    next: Array.from(ids.data.subarray(at * count, (at + 1) * count), (name) => ahead.of.names![name]),
    before: both.subarray(0, count),
    after: both.subarray(count),
  };
}

/** Fetch what `aheadAt` reads. */
export async function loadAhead({ ahead }: Run): Promise<void> {
  await Promise.all([ahead?.of.ahead, ahead?.of.ahead_bars].map((one) => one instanceof LazyArray && one.load()));
}

function here(array: NdArray | LazyArray | null | undefined): NdArray | undefined {
  return array instanceof LazyArray ? array.value : (array ?? undefined);
}

/** What each part adds before and after: nothing where a run does not have it. They sum to the two logits. */
export function rowsOf(parts: Part[], clean: Run, run: Run): (Part & { before: number; after: number })[] {
  const known = new Map(parts.map(({ name }, i) => [name, clean.terms[i]]));
  return (run.parts ?? parts)
    .map((part, i) => ({ ...part, before: known.get(part.name) ?? 0, after: run.terms[i] }))
    .filter(({ name, after }) => after || known.has(name));
}

/** Every head's thumbnail: those of the run where it has them, else the clean ones. */
export function tilesOf(clean: NdArray | undefined, changed: NdArray | undefined, step = 1): Tile[] {
  if (!clean) return [];
  const [count, rows, cols] = clean.shape;
  const first = changed ? count - changed.shape[0] : count;
  return Array.from({ length: count }, (_, i) => {
    const [source, at] = i < first ? [clean, i] : [changed!, i - first];
    const values = source.data.subarray(at * rows * cols, (at + 1) * rows * cols);
    return { values, rows, cols, step, origin: { query: 0, key: 0 } };
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

/** "L0H0, L0.mlp"; of many the first and the last: "L0H0 … L1H3 (8)". */
export function spanOf(sites: string[]): string {
  return sites.length < 4 ? sites.join(', ') : `${sites[0]} … ${sites.at(-1)} (${sites.length})`;
}

/** The one head or neuron that is picked: the other way round. */
export function siteOf({ layers, heads, neurons }: ReturnType<typeof placeOf>): string | undefined {
  if (layers.length !== 1 || heads.length + neurons.length !== 1) return undefined;
  return heads.length ? `L${layers[0]}H${heads[0]}` : `L${layers[0]}N${neurons[0]}`;
}

/** "L1H0" → its layer and head, "L1N3" → its layer and neuron; "L1.mlp" and "L1" → the layer alone. */
export function placeOf(site: string): { layers: number[]; heads: number[]; neurons: number[] } {
  const [layers, heads, neurons] = [/^L(\d+)/, /^L\d+H(\d+)$/, /^L\d+N(\d+)$/].map((axis) => {
    const found = axis.exec(site);
    return found ? [Number(found[1])] : [];
  });
  return { layers, heads, neurons };
}
