/** How far the numbers of a row or column may be from the model's, as they travelled and whatever was made of them. */
import { boundOf } from '../pattern/carried';
import type { Shares } from '../pattern/hidden';
import type { Direction, Pattern, Reading } from '../pattern/pattern';
import { errorOf } from '../wire';
import type { Transform } from './readheads.svelte';

/** Of factors of keys the largest size, whether some are negative, and how many weights a row's share is worked out from. */
export interface Factors {
  factor: number;
  signed: boolean;
  summed: number;
}

export function factorsOf({ factors, out, share, total }: Transform = {}): Factors {
  let [factor, signed, hidden] = [factors ? 0 : 1, false, 0];
  for (const list of factors ?? []) {
    for (const value of list) {
      factor = Math.max(factor, Math.abs(value));
      signed ||= value < 0;
    }
  }
  for (const is of out ?? []) hidden += is;
  // What is left of a row is what it sums to less what is hidden, or the sum of what is not.
  const summed = out && share ? (total === undefined ? out.length - hidden : hidden) : 0;
  return { factor, signed, summed };
}

export interface OfLine {
  heads: Pattern[];
  combine?: Reading['combine'];
  transform?: Transform;
  shares?: Shares;
  direction: Direction;
  subjects: number[];
}

/** The bound of a number that stands `at` the other end of the line, or of any that is not said to be. */
export type Bound = (value: number, at?: number) => number;

/** Made once for a row or column: it is asked for every number of it. */
export function boundsOf({ heads, combine, transform, shares, direction, subjects }: OfLine, factors: Factors): Bound {
  const errors = heads.map(({ error }) => error);
  const several = heads.length > 1;
  const from = direction === 'from';
  const { rows, cols } = transform?.units ?? {};
  const constant = errors.every((error) => error !== undefined) ? Math.max(...(errors as number[])) : undefined;
  // Errors of floats go in steps of two: that of a mean is at most twice the error of the mean.
  const steps = constant === undefined && (several || transform || subjects.length > 1) ? 2 : 1;
  const own = (weight: number) => {
    if (constant !== undefined) return constant;
    let most = 0;
    for (const { error, precision } of heads) most = Math.max(most, error ?? errorOf(weight, precision));
    return most;
  };
  const times = several && combine === 'sum' ? heads.length : 1;
  const { factor, signed, summed } = factors;
  const relative = summed ? steps * summed * own(1 / summed) + 1e-6 : 0;

  /** The largest factor of rows. */
  function rowOf(queries: number[] | undefined): number {
    if (!shares) return 1;
    let most = 0;
    for (const query of queries ?? [-1]) {
      const [start, stop] =
        query < 0 ? [0, shares.gone.length] : rows ? [rows[query], rows[query + 1]] : [query, query + 1];
      for (const list of shares.rows) for (let i = start; i < stop; i++) most = Math.max(most, list[i]);
    }
    return most;
  }
  const size = (unit: number) => (cols ? cols[unit + 1] - cols[unit] : 1);
  let most = 1;
  for (let unit = 0; cols && unit + 1 < cols.length; unit++) most = Math.max(most, size(unit));
  const everyRow = rowOf(from ? subjects : undefined);
  const keys = from ? most : subjects.reduce((sum, key) => sum + size(key), 0);
  return (value, at) => {
    const row = from || at === undefined ? everyRow : rowOf([at]);
    const sum = times * (from && at !== undefined ? size(at) : keys);
    return boundOf(value, own, { factor, row, slack: row * relative, signed, sum }, steps);
  };
}
