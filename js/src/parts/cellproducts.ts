/** Where the score of a cell comes from: q·k by dimension of the head, as a kernel says it or as a file's factors give it. */
import type { Answer } from '../backend';
import type { FactorsJson } from '../pattern/factored';
import type { Cell } from '../pattern/pattern';
import type { Numbers } from '../wire';
import { say } from '../words';

/** What mechviz/views/_cell_products.py answers. */
export interface Products {
  /** q[d] · k[d] · scale */
  terms: ArrayLike<number>;
  /** Undefined where it is in the terms already. */
  scale?: number;
  softcap: number | null;
  /** The sum of the terms under the soft cap. */
  capped: number | null;
  /** What is added to it. */
  bias: number | null;
  /** What the softmax is taken of; null where the mask leaves the cell out. */
  score: number | null;
  /** The logarithm of what it is divided by. */
  log_sum: number | null;
  weight: number;
  /** Of factors that travelled: how far the weight may be off, and what they travelled as. */
  error?: number;
  precision?: string;
  /** The mean of the keys was taken out of them: every score of a row is less by the same. */
  centred?: boolean;
}

/** Or why there is nothing to say. */
export type Found = Products | { none: string };

export function isNone(found: Found): found is { none: string } {
  return 'none' in found;
}

export function answered(answer: Answer | undefined): Found | undefined {
  if (!answer) return undefined;
  const value = answer.value as Found;
  return isNone(value) ? value : { ...value, terms: answer.arrays[0].data };
}

/** From a head that is held as factors, as mechviz/_factor_pack.py makes them. */
export function ofFactors(json: FactorsJson, { query, key }: Cell): Found {
  const { queries, keys, normaliser, softcap, mask, biased, error, precision } = json;
  const [count, all] = keys.shape;
  if (key >= count) return { none: say('products.sink') };
  const [q, k] = [row(queries.data, query, all), row(keys.data, key, all)];
  const dim = biased ? all - 2 : all;
  const terms = Float64Array.from({ length: dim }, (_, d) => q[d] * k[d]);
  const total = terms.reduce((sum, term) => sum + term, 0);
  const capped = softcap === null ? null : softcap * Math.tanh(total / softcap);
  const bias = biased ? q[dim] * k[dim] + q[dim + 1] * k[dim + 1] : null;
  const here = query + json.offset;
  const seen =
    (!json.causal || key <= here) && (json.window === null || key > here - json.window) && (!mask || !!mask.data[key]);
  const score = seen ? (capped ?? total) + (bias ?? 0) : null;
  const log_sum = normaliser.data[query];
  const weight = score === null ? 0 : Math.exp(score - log_sum);
  return { terms, softcap, capped, bias, score, log_sum, weight, error, precision, centred: softcap === null };
}

function row(data: Numbers, i: number, width: number): Numbers {
  return data.subarray(i * width, (i + 1) * width);
}

export interface Term {
  dimension: number;
  value: number;
}

/** Dimensions by size, the largest first. */
export function bySize(terms: ArrayLike<number>): Term[] {
  return Array.from(terms, (value, dimension) => ({ dimension, value })).sort(
    (a, b) => Math.abs(b.value) - Math.abs(a.value) || a.dimension - b.dimension,
  );
}

/** What the sum of the terms becomes, line by line: the steps that there are. */
export function stepsOf(found: Products): [what: string, value: number][] {
  const { terms, scale, softcap, capped, bias, score, log_sum } = found;
  const total = Array.from(terms).reduce((sum, term) => sum + term, 0);
  const of =
    scale === undefined ? say('products.sum.plain') : say('products.sum', { scale: Number(scale.toPrecision(4)) });
  const steps: [string, number][] = [[of, total]];
  if (capped !== null) steps.push([say('products.capped', { cap: softcap! }), capped]);
  if (bias !== null) steps.push([say('products.bias'), bias]);
  if (score !== null && (capped !== null || bias !== null)) steps.push([say('products.score'), score]);
  if (score !== null && log_sum !== null) steps.push([say('products.log'), log_sum]);
  return steps;
}
