/** Neurons, features and directions over a text: their order and their names, worked out without a DOM. */
import type { LazyArray } from '../figure.svelte';
import type { NdArray, Numbers } from '../wire';

/** An array that is here or fetched. */
export type Part = NdArray | LazyArray;

/** As mechviz/views/_unit_slices.py sends one layer. */
export interface LayerJson {
  number: number | null;
  /** The units that are kept, with `[unit, position]` numbers. */
  parts: { ids: Part; values: Part; gate?: Part; up?: Part }[];
  /** Ends of the scale; how many numbers are NaN, above and below. */
  facts: Part;
  /** The strongest units of each position, `[position, few]`, and their numbers. */
  top: Part;
  top_values: Part;
}

/** One unit over all positions. */
export interface Column {
  values: Numbers;
  gate?: Numbers;
  up?: Numbers;
}

/** A layer (its place among those of the view) and a unit of it. */
export interface Unit {
  layer: number;
  id: number;
}

export const ORDERS = ['max', 'mean', 'sparsity', 'variance', 'index'] as const;
export type Order = (typeof ORDERS)[number] | 'token' | 'similar';

export interface Statistics {
  /** The largest number; of signed ones the size of the one furthest from 0. */
  max: number;
  mean: number;
  sparsity: number;
  variance: number;
  /** Where the largest stands. */
  peak: number;
}

/** As `ranked` of mechviz/views/_units.py works them out: the largest may be infinite, the others are of what is finite. */
export function statisticsOf(values: Numbers, signed: boolean): Statistics {
  let [n, sum, sizes, squares, max, peak] = [0, 0, 0, 0, -Infinity, -1];
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    const size = signed ? Math.abs(value) : value;
    if (size > max || (peak < 0 && size === max)) [max, peak] = [size, i];
    if (!Number.isFinite(value)) continue;
    n++;
    sum += value;
    sizes += Math.abs(value);
    squares += value * value;
  }
  const mean = sum / n;
  let apart = 0;
  for (const value of values) if (Number.isFinite(value)) apart += (value - mean) ** 2;
  return { max: peak < 0 ? NaN : max, mean, sparsity: 1 - sizes ** 2 / n / squares, variance: apart / n, peak };
}

/** Correlation over the positions at which both are finite; NaN where one of them is the same at all of these. */
export function correlation(one: Numbers, other: Numbers): number {
  const known = (_: number, i: number) => Number.isFinite(one[i]) && Number.isFinite(other[i]);
  const [a, b] = [one.filter(known), other.filter(known)];
  const [x, y] = [statisticsOf(a, false), statisticsOf(b, false)];
  let together = 0;
  for (let i = 0; i < a.length; i++) together += (a[i] - x.mean) * (b[i] - y.mean);
  return together / a.length / Math.sqrt(x.variance * y.variance);
}

/** Units in an order, those without a score last; equal ones by number. */
export function ordered(
  ids: number[],
  column: (id: number) => Column,
  order: Order,
  at: number | undefined,
  signed: boolean,
): number[] {
  if (order === 'index') return [...ids].sort((a, b) => a - b);
  const like = order === 'similar' && at !== undefined ? column(at).values : undefined;
  const score = (id: number): number => {
    const { values } = column(id);
    if (like) return correlation(values, like);
    if (order === 'token') return signed ? Math.abs(values[at!]) : values[at!];
    return order === 'similar' ? NaN : statisticsOf(values, signed)[order];
  };
  const scores = new Map(ids.map((id) => [id, score(id)]));
  const last = (value: number) => (Number.isNaN(value) ? -Infinity : Math.max(value, -Number.MAX_VALUE));
  return [...ids].sort((a, b) => {
    const [x, y] = [last(scores.get(a)!), last(scores.get(b)!)];
    return x === y ? a - b : y - x;
  });
}

export type Names = string[] | Record<string, string> | null;

/** "L3N17", "N17" where layers have no numbers, or its own name. */
export function unitName(number: number | null, letter: string, id: number, names: Names, short = false): string {
  const own = (names as Record<string, string> | null)?.[id];
  return own ?? `${number === null || short ? '' : `L${number}`}${letter}${id}`;
}

/** What was typed, as a unit: "L3N17", "N17" or "17" of the layer that is open, or a name; undefined where there is none. */
export function unitOf(
  text: string,
  layers: (number | null)[],
  open: number,
  units: number,
  names: Names,
): Unit | undefined {
  const wanted = text.trim().toLowerCase();
  const found = /^(?:l(\d+)\s*\.?)?\s*[a-z]?(\d+)$/.exec(wanted);
  if (found) {
    const [layer, id] = [found[1] === undefined ? open : layers.indexOf(Number(found[1])), Number(found[2])];
    if (layer >= 0 && id < units) return { layer, id };
  }
  if (!wanted || !names) return undefined;
  const all = Object.entries(names).map(([id, name]) => [Number(id), name.toLowerCase()] as const);
  const match = all.find(([, name]) => name === wanted) ?? all.find(([, name]) => name.includes(wanted));
  return match && { layer: open, id: match[0] };
}

/** Bars of a small chart from zero up and down to `limits`, as two paths; `per` positions to a bar, the one furthest from 0. */
export function bars(values: Numbers, [low, high]: readonly [number, number], width: number, height: number) {
  const per = Math.ceil(values.length / Math.max(1, width));
  const pitch = width / Math.ceil(values.length / per);
  // Shares of the larger of the two: the difference of large numbers may be infinite.
  const most = Math.max(high, -low);
  const [top, bottom] = [high / most, low / most];
  const zero = (height * top) / (top - bottom);
  const paths = { above: '', below: '', zero, per };
  for (let k = 0; k * per < values.length; k++) {
    let value = 0;
    for (const one of values.subarray(k * per, (k + 1) * per)) if (Math.abs(one) > Math.abs(value)) value = one;
    const size = (Math.max(bottom, Math.min(top, value / most)) / (top - bottom)) * height;
    if (size)
      paths[size > 0 ? 'above' : 'below'] += `M${k * pitch} ${zero}v${-size}h${pitch > 3 ? pitch - 1 : pitch}V${zero}z`;
  }
  return paths;
}
