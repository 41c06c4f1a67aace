/**
 * Weights worked out from what is held of heads, read and pooled. Both functions are also the text of a worker
 * (engine.ts): nothing from outside of them may be named inside.
 */
import type { Numbers } from '../wire';
import type { Pooling } from './pattern';

/** Factors of one head: `P[i, j] = exp(q[i] · k[j] − normaliser[i])`; arrays lie row by row. */
export interface Factors {
  queries: Float32Array;
  keys: Float32Array;
  dim: number;
  queryCount: number;
  /** Without the sink, which stands behind them. */
  keyCount: number;
  normaliser: Float32Array;
  /** The probability that goes to the sink, for each query. */
  sink: Float32Array | null;
  /** 1 where a key may be seen. */
  mask: Uint8Array | null;
  /** Query i sees keys j ≤ i + offset, and with a window j > i + offset − window. */
  causal: boolean;
  window: number | null;
  offset: number;
  softcap: number | null;
}

/** One head of which every weight is here, row by row. */
export interface Weights {
  weights: Numbers;
  keyCount: number;
}

export type Held = Factors | Weights;

/** Heads and how they are read (pattern.ts), with every factor in place. */
export interface Read {
  heads: Held[];
  /** Of all heads, or of each. */
  columns: Float32Array[] | null;
  rows: Float32Array[] | null;
  combine: 'mean' | 'max' | 'sum';
  /** No query reads from a key behind it. */
  causal: boolean;
  signed: boolean;
}

/** Edges of the cells of a rectangle, and how they are pooled. */
export interface Cut {
  rows: Int32Array;
  cols: Int32Array;
  pooling: Pooling;
}

/** What is held of a head by its number; heads to read, by the numbers of what they are; something to be cut. */
export type Order =
  | { held: number; head: Held | null }
  | { reader: number; read: (Omit<Read, 'heads'> & { heads: number[] }) | null }
  | { reader: number; name: string; cut: Cut };

/** Some rows of cells, and the largest weight in each row of weights that they cover. */
export interface Band {
  reader: number;
  name: string;
  first: number;
  cells: Float32Array;
  maxima: Float32Array;
  done: boolean;
}

export type Arithmetic = ReturnType<typeof arithmetic>;

export function arithmetic() {
  /** Logarithms of the weights of query `i` on keys `from` … `to`, −∞ where it may not look. */
  function logs(f: Factors, i: number, from: number, to: number, out: Float64Array): void {
    const { queries, keys, dim, softcap, mask } = f;
    const here = i + f.offset;
    const low = Math.max(from, f.window === null ? 0 : here - f.window + 1);
    const high = Math.min(to, f.causal ? here + 1 : f.keyCount, f.keyCount);
    out.fill(-Infinity, 0, to - from);
    const a = i * dim;
    let j = low;
    // Four keys at a time: their sums do not wait for each other.
    for (; j + 3 < high; j += 4) {
      let [s0, s1, s2, s3] = [0, 0, 0, 0];
      const b0 = j * dim;
      const [b1, b2, b3] = [b0 + dim, b0 + 2 * dim, b0 + 3 * dim];
      for (let d = 0; d < dim; d++) {
        const x = queries[a + d];
        s0 += x * keys[b0 + d];
        s1 += x * keys[b1 + d];
        s2 += x * keys[b2 + d];
        s3 += x * keys[b3 + d];
      }
      const at = j - from;
      out[at] = s0;
      out[at + 1] = s1;
      out[at + 2] = s2;
      out[at + 3] = s3;
    }
    for (; j < high; j++) {
      let sum = 0;
      for (let d = 0; d < dim; d++) sum += queries[a + d] * keys[j * dim + d];
      out[j - from] = sum;
    }
    for (j = low; j < high; j++) {
      const score = softcap === null ? out[j - from] : softcap * Math.tanh(out[j - from] / softcap);
      out[j - from] = mask && !mask[j] ? -Infinity : score - f.normaliser[i];
    }
    if (f.sink && from <= f.keyCount && f.keyCount < to) out[f.keyCount - from] = Math.log(f.sink[i]);
  }

  const of = (factors: Float32Array[] | null, h: number) => factors && factors[factors.length > 1 ? h : 0];
  /** Further from zero, or larger; NaN wins. */
  const outweighs = (a: number, b: number, signed: boolean) =>
    b === b && (a !== a || (signed ? Math.abs(a) > Math.abs(b) : a > b));

  let spare = new Float64Array(0);
  let logged: { of?: Float32Array; logs: Float64Array } = { logs: spare };

  /** Logarithms of factors, taken once and not for every row. */
  function logOf(factors: Float32Array): Float64Array {
    if (logged.of !== factors) logged = { of: factors, logs: Float64Array.from(factors, Math.log) };
    return logged.logs;
  }

  /** What is read of query `i` on keys `from` … `to`: the one place where heads are combined and factors applied. */
  function line(read: Read, i: number, from: number, to: number, out: Float64Array): void {
    const { heads, columns, rows, combine, signed } = read;
    const count = to - from;
    if (spare.length < count) spare = new Float64Array(count);
    heads.forEach((head, h) => {
      const own = h ? spare : out;
      if ('weights' in head) {
        const start = i * head.keyCount + from;
        for (let j = 0; j < count; j++) own[j] = head.weights[start + j];
      } else {
        logs(head, i, from, to, own);
        for (let j = 0; j < count; j++) own[j] = Math.exp(own[j]);
      }
      const [by, down] = [of(columns, h), of(rows, h)];
      if (by) for (let j = 0; j < count; j++) own[j] *= by[from + j];
      if (down) for (let j = 0; j < count; j++) own[j] *= down[i];
      if (!h) return;
      if (combine !== 'max') for (let j = 0; j < count; j++) out[j] += own[j];
      else for (let j = 0; j < count; j++) if (outweighs(own[j], out[j], signed)) out[j] = own[j];
    });
    if (combine === 'mean' && heads.length > 1) for (let j = 0; j < count; j++) out[j] /= heads.length;
  }

  /** One row of cells, from weights `top` … `bottom`; `maxima` gets the largest size in each row of weights. */
  function pooled(
    read: Read,
    { cols, pooling }: Cut,
    [top, bottom]: readonly [number, number],
    out: Float32Array,
    maxima: Float32Array,
    weights: Float64Array,
  ): void {
    const { heads, causal, signed } = read;
    const [left, right] = [cols[0], cols[cols.length - 1]];
    const [only, factors, down] = [heads[0], of(read.columns, 0), of(read.rows, 0)];
    const cells = new Float64Array(out.length);
    const seen = new Uint8Array(out.length);
    // Of one head of factors scores are pooled: an exponential for each cell and not for each weight.
    const scores = heads.length === 1 && !('weights' in only) && !signed && pooling === 'max';
    const by = scores && factors && logOf(factors);
    for (let i = top; i < bottom; i++) {
      const stop = causal ? Math.min(right, i + 1) : right;
      const shift = scores && down ? Math.log(down[i]) : 0;
      if (stop > left) {
        if (scores) logs(only as Factors, i, left, stop, weights);
        else line(read, i, left, stop, weights);
        if (by) for (let j = left; j < stop; j++) weights[j - left] += by[j];
      }
      let largest = scores ? -Infinity : 0;
      for (let c = 0, j = left; c < out.length && j < stop; c++) {
        const end = Math.min(cols[c + 1], stop);
        let best = weights[j - left];
        let sum = 0;
        for (; j < end; j++) {
          const here = weights[j - left];
          if (scores ? here > best : outweighs(here, best, signed)) best = here;
          sum += here;
        }
        const size = scores ? best + shift : Math.abs(best);
        if (size > largest && size < Infinity) largest = size;
        if (pooling === 'mass') cells[c] += sum / (bottom - top);
        else if (!seen[c] || (scores ? best + shift > cells[c] : outweighs(best, cells[c], signed)))
          cells[c] = scores ? best + shift : best;
        seen[c] = 1;
      }
      maxima[i - top] = scores ? Math.exp(largest) : largest;
    }
    for (let c = 0; c < out.length; c++) out[c] = scores ? (seen[c] ? Math.exp(cells[c]) : 0) : cells[c];
  }

  return { logs, line, pooled };
}

/**
 * Takes orders and sends bands of rows as they are done, the newest order first. It works for `slice` milliseconds at a
 * time, so that other things (in a worker: newer orders) come in between.
 */
export function calculator(math: Arithmetic, send: (band: Band) => void, slice: number): (order: Order) => void {
  interface Job extends Cut {
    reader: number;
    name: string;
    /** The row of cells that is next. */
    next: number;
  }
  const held = new Map<number, Held>();
  const readers = new Map<number, Read>();
  let jobs: Job[] = [];
  let awake = false;

  function band(job: Job): void {
    const read = readers.get(job.reader)!;
    const { rows, cols } = job;
    const [down, across] = [rows.length - 1, cols.length - 1];
    const first = job.next;
    const line = new Float64Array(cols[across] - cols[0]);
    const cells: Float32Array[] = [];
    const start = performance.now();
    const maxima: Float32Array[] = [];
    do {
      const out = new Float32Array(across);
      const largest = new Float32Array(rows[job.next + 1] - rows[job.next]);
      math.pooled(read, job, [rows[job.next], rows[job.next + 1]], out, largest, line);
      cells.push(out);
      maxima.push(largest);
      job.next++;
    } while (job.next < down && performance.now() - start < slice);
    const all = new Float32Array(cells.length * across);
    cells.forEach((row, r) => all.set(row, r * across));
    const tops = new Float32Array(rows[job.next] - rows[first]);
    maxima.forEach((row, r) => tops.set(row, rows[first + r] - rows[first]));
    send({ reader: job.reader, name: job.name, first, cells: all, maxima: tops, done: job.next >= down });
  }

  function work(): void {
    const job = jobs.at(-1);
    awake = job !== undefined;
    if (!job) return;
    band(job);
    if (job.next >= job.rows.length - 1) jobs = jobs.filter((other) => other !== job);
    setTimeout(work);
  }

  return (order) => {
    if ('cut' in order) jobs.push({ ...order.cut, reader: order.reader, name: order.name, next: 0 });
    else if ('held' in order) {
      if (order.head) held.set(order.held, order.head);
      else held.delete(order.held);
    } else if (order.read) {
      readers.set(order.reader, { ...order.read, heads: order.read.heads.map((number) => held.get(number)!) });
    } else {
      readers.delete(order.reader);
      jobs = jobs.filter((job) => job.reader !== order.reader);
    }
    if (awake || !jobs.length) return;
    awake = true;
    setTimeout(work);
  };
}
