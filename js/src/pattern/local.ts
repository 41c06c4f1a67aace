/** Heads of which everything is here, read as one: rows, columns and cells at once; their pooled cells differ by source. */
import type { Precision } from '../wire';
import { arithmetic, type Held, type Read } from './arithmetic';
import {
  outweighs,
  visible,
  type Cell,
  type Direction,
  type Edges,
  type Line,
  type Pattern,
  type Pooling,
  type Range,
  type Reading,
  type Tile,
} from './pattern';

export const math = arithmetic();

export abstract class Local implements Pattern {
  readonly causal: boolean;
  readonly signed: boolean;
  abstract readonly precision: Precision;
  abstract readonly error?: number;

  constructor(
    readonly held: Read,
    readonly queries: number,
    readonly keys: number,
  ) {
    [this.causal, this.signed] = [held.causal, held.signed];
  }

  line(direction: Direction, index: number): Line {
    if (direction === 'from') {
      const values = new Float64Array(visible(this, index));
      math.line(this.held, index, 0, values.length, values);
      return { start: 0, values };
    }
    const start = this.causal ? index : 0;
    const one = new Float64Array(1);
    const values = Float64Array.from({ length: this.queries - start }, (_, i) => {
      math.line(this.held, start + i, index, index + 1, one);
      return one[0];
    });
    return { start, values };
  }

  abstract tile(step: number, rows?: Range, cols?: Range, pooling?: Pooling): Tile | undefined;
  abstract cut(edges: Edges, pooling?: Pooling): Tile | undefined;
  abstract read(reading: Reading, others?: Pattern[]): Pattern;

  peak(rows: Range, cols: Range): Cell | undefined {
    let best: Cell | undefined;
    let value = 0;
    const line = new Float64Array(Math.max(0, Math.min(cols[1], this.keys) - cols[0]));
    for (let query = rows[0]; query < Math.min(rows[1], this.queries); query++) {
      const stop = Math.min(cols[1], visible(this, query));
      if (stop <= cols[0]) continue;
      math.line(this.held, query, cols[0], stop, line);
      for (let i = 0; i < stop - cols[0]; i++) {
        if (best && !outweighs(line[i], value, this.signed)) continue;
        best = { query, key: cols[0] + i };
        value = line[i];
      }
    }
    return best;
  }
}

/** One head or several under a reading; a reading of what is read already replaces the way that it was. */
export function readOf(patterns: Local[], { columns, rows, combine }: Reading): Read {
  const heads: Held[] = patterns.flatMap((pattern) => pattern.held.heads);
  const negative = columns?.some((factors) => factors.some((factor) => factor < 0));
  return {
    heads,
    columns: columns ?? null,
    rows: rows ?? null,
    combine: combine ?? 'mean',
    causal: patterns.every((pattern) => pattern.causal),
    signed: patterns.some((pattern) => pattern.signed) || !!negative,
  };
}

/** The least exact of several. */
export function leastExact(patterns: Pattern[]): Precision {
  const order: Precision[] = ['sqrt8', 'float16', 'float32', 'exact'];
  return order.find((known) => patterns.some((pattern) => pattern.precision === known))!;
}

/** How far what is read may be from what the model's weights give, where the heads say it of their weights. */
export function boundOf(patterns: Pattern[], { columns, rows, combine }: Reading): number | undefined {
  const errors = patterns.map((pattern) => pattern.error);
  if (errors.every((error) => error === undefined)) return undefined;
  const known = errors.map((error) => error ?? 0);
  const error = combine === 'sum' ? known.reduce((a, b) => a + b) : Math.max(...known);
  return error * largest(columns) * largest(rows);
}

function largest(factors: Float32Array[] | undefined): number {
  let found = factors ? 0 : 1;
  for (const list of factors ?? []) for (const factor of list) found = Math.max(found, Math.abs(factor));
  return found;
}
