/** Scores of heads as columns: of one text or over all of them, with the first token or without, and from role to role. */
import type { LazyArray } from '../figure.svelte';
import { fixed } from '../number';
import type { NdArray } from '../wire';
import { say, type Word } from '../words';

/** Of one text (mechviz/views/_attention_scores.py). */
export interface ScoresJson {
  /** "entropy", "distance", … */
  names: string[];
  /** [with the first key · without it, head, score] */
  values: NdArray | LazyArray;
  /** Queries that were read, and of how many; null for all of them. */
  sampled: [number, number] | null;
}

/** Mean and standard deviation over texts, shaped as the scores of one are. */
export interface OverJson {
  mean: NdArray | LazyArray;
  spread: NdArray | LazyArray;
  count: number;
}

/** What heads read from role to role, [head, reads, is read]. */
export interface RolesJson {
  names: string[];
  /** [text][role]; −1 where a text has none. */
  positions: number[][];
  mean: NdArray;
  /** Null of one text. */
  spread: NdArray | null;
  /** Texts that have both roles, [reads][is read]. */
  counts: number[][] | null;
}

/** One score of all heads; NaN where it has no meaning. */
export interface Score {
  id: string;
  label: string;
  title: string;
  unit: string;
  decimals: number;
  values: Float64Array;
  /** Standard deviation over texts. */
  spread?: Float64Array;
  /** Which role reads, and which is read. */
  roles?: readonly [number, number];
  /** In how many of the texts there is such a pair of roles, where not in all. */
  texts?: { n: number; all: number };
}

const UNITS: Record<string, [unit: string, decimals: number]> = {
  entropy: ['nats', 2],
  distance: ['tokens', 1],
  patch_distance: ['patches', 1],
};

/** The scores in `mean` (and their spread), with the first token or without it. */
export function scoresOf(names: string[], mean: NdArray | undefined, spread?: NdArray, first = true): Score[] {
  return names
    .map((name, i) => {
      const [unit, decimals] = UNITS[name] ?? ['', 2];
      const column = (array: NdArray) => {
        const [, heads, across] = array.shape;
        return Float64Array.from({ length: heads }, (_, h) => array.data[((first ? 0 : heads) + h) * across + i]);
      };
      return {
        ...{ id: name, label: say(`score.${name}` as Word), title: say(`score.${name}.long` as Word), unit, decimals },
        values: mean ? column(mean) : new Float64Array(0),
        spread: spread && column(spread),
      };
    })
    .filter(({ id }) => first || id !== 'first');
}

/** Every pair of two roles of which some head has a number: "END → IO". */
export function rolePairs(
  { names, positions, counts }: RolesJson,
  mean: NdArray | undefined,
  spread: NdArray | null,
): Score[] {
  if (!mean) return [];
  const [heads, across] = mean.shape;
  return names
    .flatMap((_, i) => names.map((_, k) => [i, k] as const))
    .map((roles): Score | undefined => {
      const [i, k] = roles;
      const column = ({ data }: NdArray) =>
        Float64Array.from({ length: heads }, (_, h) => data[(h * across + i) * across + k]);
      const values = column(mean);
      if (i === k || values.every(Number.isNaN)) return undefined;
      const label = `${names[i]} → ${names[k]}`;
      const reads = say('score.role.long', { from: names[i], to: names[k] });
      // Of roles that are not in every text, or stand in the other order there, fewer count.
      const n = spread && counts ? counts[i][k] : positions.length;
      const all = positions.length;
      const title = spread ? say('score.role.texts', { title: reads, n, all }) : reads;
      const texts = spread && n < all ? { n, all } : undefined;
      const rest = { spread: spread ? column(spread) : undefined, roles, texts };
      return { id: label, label, title, unit: '', decimals: 2, values, ...rest };
    })
    .filter((score) => score !== undefined);
}

/** The score of some heads, their mean if there are several: "0.91 ± 0.04", "1.40 nats". */
export function textOf({ values, spread, unit, decimals }: Score, heads: number[]): string {
  const mean = heads.reduce((sum, head) => sum + (values[head] ?? NaN), 0) / heads.length;
  if (Number.isNaN(mean)) return '–';
  const sd = heads.length === 1 ? (spread?.[heads[0]] ?? NaN) : NaN;
  return `${fixed(mean, decimals)}${Number.isNaN(sd) ? '' : ` ± ${fixed(sd, decimals)}`} ${unit}`.trim();
}

export type Order = 'down' | 'up' | 'place';

/** Heads by a score, those without one left out; those beyond the limit (below it; above, where the lowest come first) too. */
export function ranked(score: Score, order: Order, limit: number | undefined): number[] {
  const sign = order === 'up' ? 1 : -1;
  const { values } = score;
  const found = Array.from(values.keys()).filter(
    (i) => !Number.isNaN(values[i]) && (limit === undefined || sign * values[i] <= sign * limit),
  );
  return order === 'place' ? found : found.sort((a, b) => sign * (values[a] - values[b]) || a - b);
}
