/**
 * The softmax of factors, worked out where it is asked for. Both functions are also the text of a worker (engine.ts):
 * nothing from outside of them may be named inside.
 */

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

/** "max": the largest weight of a square. "mass": its sum over keys, as a mean over queries. */
export type Pooling = 'max' | 'mass';

/** A rectangle of a head with `step` × `step` weights to a cell. */
export interface Rectangle {
  rows: readonly [number, number];
  cols: readonly [number, number];
  step: number;
  pooling: Pooling;
}

export type Order =
  { head: number; factors: Factors | null } | { head: number; name: string; rectangle: Rectangle; factors?: undefined };

/** Some rows of cells of a rectangle, and the largest weight in each row of weights that they cover. */
export interface Band {
  head: number;
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

  /** One row of cells, from weights `top` … `bottom`; `maxima` gets the largest weight of each row in it. */
  function pooled(
    f: Factors,
    { cols: [left, right], step, pooling }: Rectangle,
    [top, bottom]: readonly [number, number],
    out: Float32Array,
    maxima: Float32Array,
    line: Float64Array,
  ): void {
    const best = new Float64Array(out.length).fill(pooling === 'max' ? -Infinity : 0);
    for (let i = top; i < bottom; i++) {
      logs(f, i, left, right, line);
      let largest = -Infinity;
      for (let c = 0, j = 0; c < best.length; c++) {
        const end = Math.min(right - left, (c + 1) * step);
        let high = -Infinity;
        let sum = 0;
        for (; j < end; j++) {
          if (line[j] > high) high = line[j];
          if (pooling === 'mass' && line[j] > -Infinity) sum += Math.exp(line[j]);
        }
        if (high > largest) largest = high;
        if (pooling === 'mass') best[c] += sum / (bottom - top);
        else if (high > best[c]) best[c] = high;
      }
      maxima[i - top] = Math.exp(largest);
    }
    // Scores are pooled first: an exponential for each cell and not for each weight.
    for (let c = 0; c < best.length; c++) out[c] = pooling === 'max' ? Math.exp(best[c]) : best[c];
  }

  return { logs, pooled };
}

/**
 * Takes orders and sends bands of rows as they are done, the newest order first. It works for `slice` milliseconds at a
 * time, so that other things (in a worker: newer orders) come in between.
 */
export function calculator(math: Arithmetic, send: (band: Band) => void, slice: number): (order: Order) => void {
  interface Job extends Rectangle {
    head: number;
    name: string;
    /** The row of cells that is next. */
    next: number;
  }
  const heads = new Map<number, Factors>();
  let jobs: Job[] = [];
  let awake = false;

  function band(job: Job): void {
    const factors = heads.get(job.head)!;
    const { rows, cols, step } = job;
    const [down, across] = [Math.ceil((rows[1] - rows[0]) / step), Math.ceil((cols[1] - cols[0]) / step)];
    const first = job.next;
    const line = new Float64Array(cols[1] - cols[0]);
    const cells: Float32Array[] = [];
    const start = performance.now();
    const begin = rows[0] + first * step;
    const maxima: Float32Array[] = [];
    do {
      const top = rows[0] + job.next * step;
      const bottom = Math.min(top + step, rows[1]);
      const out = new Float32Array(across);
      const largest = new Float32Array(bottom - top);
      math.pooled(factors, job, [top, bottom], out, largest, line);
      cells.push(out);
      maxima.push(largest);
      job.next++;
    } while (job.next < down && performance.now() - start < slice);
    const all = new Float32Array(cells.length * across);
    cells.forEach((row, r) => all.set(row, r * across));
    const tops = new Float32Array(Math.min(rows[1], rows[0] + job.next * step) - begin);
    maxima.forEach((row, r) => tops.set(row, r * step));
    send({ head: job.head, name: job.name, first, cells: all, maxima: tops, done: job.next >= down });
  }

  function work(): void {
    const job = jobs.at(-1);
    awake = job !== undefined;
    if (!job) return;
    band(job);
    if (job.next * job.step >= job.rows[1] - job.rows[0]) jobs = jobs.filter((other) => other !== job);
    setTimeout(work);
  }

  return (order) => {
    if (order.factors === undefined) jobs.push({ ...order.rectangle, head: order.head, name: order.name, next: 0 });
    else if (order.factors) heads.set(order.head, order.factors);
    else {
      heads.delete(order.head);
      jobs = jobs.filter((job) => job.head !== order.head);
    }
    if (awake || !jobs.length) return;
    awake = true;
    setTimeout(work);
  };
}
