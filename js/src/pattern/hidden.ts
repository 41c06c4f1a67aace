/** Keys that are taken out of every row, whose rest is shared out anew. */
import { Local } from './local';
import { mass, type Pattern } from './pattern';

/** Rows of which less is left are taken out: what is left of them would be blown up more than twenty times. */
export const LEAST = 0.05;

/** Of so many hidden keys their columns are read; of more, every row is summed up. */
const COLUMNS = 64;

/** A factor for each key: 0 for those that are left out. */
export function keepOf(out: Uint8Array): Float32Array {
  return Float32Array.from(out, (is) => (is ? 0 : 1));
}

/**
 * Something that gives, for each row, how much of it is on keys that are left in. `total` is what a row is known to sum
 * to: what is hidden is then taken off that, which is nearer to the model's numbers than a sum of many rounded ones.
 */
export function visibleOf(head: Pattern, out: Uint8Array, total?: number): () => ArrayLike<number> | undefined {
  const hidden = Array.from(out.keys()).filter((key) => out[key]);
  if (!(head instanceof Local) || total === undefined || hidden.length > COLUMNS) {
    const kept = head.read({ columns: [keepOf(out)] });
    return () => mass(kept);
  }
  const left = new Float64Array(head.queries).fill(total);
  for (const key of hidden) {
    const { start, values } = head.line('by', key);
    for (let i = 0; i < values.length; i++) left[start + i] -= values[i];
  }
  return () => left;
}

export interface Shares {
  /** 1 / what is left of each row, one list a head; 0 for rows that are taken out. */
  rows: Float32Array[];
  /** 1 for rows that are taken out: of one of the heads too little is left, or the row is not asked for. */
  gone: Uint8Array;
}

/** `without` are rows that are not asked for, such as those of padding. */
export function sharesOf(masses: ArrayLike<number>[], without?: Uint8Array): Shares {
  const gone = Uint8Array.from({ length: masses[0].length }, (_, i) =>
    without?.[i] || masses.some((left) => !(left[i] >= LEAST)) ? 1 : 0,
  );
  return { gone, rows: masses.map((left) => Float32Array.from(left, (value, i) => (gone[i] ? 0 : 1 / value))) };
}

/** The same for rows that are to be means over the queries of units: over those that are left. */
export function overUnits({ rows, gone }: Shares, edges: ArrayLike<number>): Float32Array[] {
  return rows.map((list) => {
    const out = list.slice();
    for (let u = 0; u + 1 < edges.length; u++) {
      let left = 0;
      for (let i = edges[u]; i < edges[u + 1]; i++) left += gone[i] ? 0 : 1;
      if (left) for (let i = edges[u]; i < edges[u + 1]; i++) out[i] *= (edges[u + 1] - edges[u]) / left;
    }
    return out;
  });
}
