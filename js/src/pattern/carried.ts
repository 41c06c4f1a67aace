/** How far a number that was read may be from the one that the model's own weights give. */

/** What was made of weights before they were told. */
export interface Made {
  /** The largest factor of keys, and of rows, that a weight was multiplied with. */
  factor: number;
  row: number;
  /** How far that of the row may be off, as a share of it. */
  slack: number;
  /** Factors may be negative: a sum may be much smaller than what it is of. */
  signed: boolean;
  /** How many weights were summed up; means count as one. */
  sum: number;
}

/**
 * The bound of a number `value`; `own` bounds a weight as it travelled, and grows with it no faster than its size
 * (`errorOf` of wire.ts, but for the steps of floats, which `steps` is for: 2 where there are any, else 1).
 */
export function boundOf(value: number, own: (weight: number) => number, made: Made, steps: number): number {
  const { factor, row, slack, signed, sum } = made;
  const size = Math.abs(value);
  const times = factor * row * sum;
  if (times === 0) return 0;
  // Of a sum with signs its size says nothing of its parts: together they are 1 / row at most.
  const weight = signed && sum > 1 ? 1 / (row * sum) : size / times;
  return steps * times * own(weight) + (signed && sum > 1 ? factor : size) * slack;
}
