/** Words and spans, hidden keys, several rows as one, and what all of this does to errors: against plain loops. */
import { expect, test, vi } from 'vitest';
import type { Answer } from '../src/backend';
import { boundOf } from '../src/pattern/carried';
import { Dense } from '../src/pattern/dense';
import { keepOf, LEAST, overUnits, sharesOf, visibleOf } from '../src/pattern/hidden';
import { Merged } from '../src/pattern/merged';
import { steps } from '../src/pattern/pattern';
import { Remote } from '../src/pattern/remote';
import { lineOf } from '../src/pattern/several';
import { errorOf, type NdArray, type Precision } from '../src/wire';
import { random } from './random';

const nd = (data: Float64Array | Float32Array, n: number, precision: Precision = 'exact'): NdArray => ({
  data,
  shape: [n, data.length / n],
  precision,
});

/** A causal or whole softmax, row by row. */
function weights(seed: number, n: number, causal: boolean): Float64Array {
  const next = random(seed);
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const stop = causal ? i + 1 : n;
    let sum = 0;
    for (let j = 0; j < stop; j++) sum += out[i * n + j] = Math.exp(6 * next() - 3);
    for (let j = 0; j < stop; j++) out[i * n + j] /= sum;
  }
  return out;
}

/** Increasing edges of units of one to four tokens. */
function units(seed: number, n: number): Int32Array {
  const next = random(seed);
  const edges = [0];
  while (edges[edges.length - 1] < n) edges.push(Math.min(n, edges[edges.length - 1] + 1 + Math.floor(4 * next())));
  return Int32Array.from(edges);
}

/** Sum over the keys of a unit, mean over the queries of another. */
function unitWeight(at: (i: number, j: number) => number, edges: ArrayLike<number>, u: number, v: number): number {
  let sum = 0;
  for (let i = edges[u]; i < edges[u + 1]; i++) for (let j = edges[v]; j < edges[v + 1]; j++) sum += at(i, j);
  return sum / (edges[u + 1] - edges[u]);
}

function near(a: ArrayLike<number>, b: ArrayLike<number>, off = 1e-6) {
  expect(a.length).toBe(b.length);
  for (let i = 0; i < a.length; i++) expect(Math.abs(a[i] - b[i])).toBeLessThanOrEqual(off);
}

test.each([1, 2, 3, 4, 5, 6])('merged weights are sums over keys and means over queries (%i)', (seed) => {
  const n = 5 + 6 * seed;
  const causal = seed % 2 === 0;
  const data = weights(seed, n, causal);
  const at = (i: number, j: number) => data[i * n + j];
  const edges = units(seed + 50, n);
  const count = edges.length - 1;
  const merged = new Merged(new Dense(nd(data, n), causal), { rows: edges, cols: edges });
  expect([merged.queries, merged.keys, merged.causal]).toEqual([count, count, causal]);
  for (let u = 0; u < count; u++) {
    const seen = causal ? u + 1 : count;
    const row = Array.from({ length: seen }, (_, v) => unitWeight(at, edges, u, v));
    near(merged.line('from', u)!.values, row);
    // Rows of probabilities stay what they are.
    expect(Array.from(merged.line('from', u)!.values).reduce((a, b) => a + b)).toBeCloseTo(1, 5);
    const first = causal ? u : 0;
    const column = Array.from({ length: count - first }, (_, k) => unitWeight(at, edges, first + k, u));
    expect(merged.line('by', u)!.start).toBe(first);
    near(merged.line('by', u)!.values, column);
    near([merged.maxima()![u]], [Math.max(...row)]);
  }
  // Pooled by max no weight of a unit is lost; by mass cells are means over tokens, as those of the pattern itself.
  const pooled = merged.tile(2)!;
  for (let r = 0; r < pooled.rows; r++) {
    for (let c = 0; c < pooled.cols; c++) {
      let best = 0;
      for (let u = 2 * r; u < Math.min(count, 2 * r + 2); u++) {
        for (let v = 2 * c; v < Math.min(causal ? u + 1 : count, 2 * c + 2); v++)
          best = Math.max(best, unitWeight(at, edges, u, v));
      }
      near([pooled.values[r * pooled.cols + c]], [best]);
      if (best) {
        const cell = merged.peak([2 * r, 2 * r + 2], [2 * c, 2 * c + 2])!;
        near([unitWeight(at, edges, cell.query, cell.key)], [best]);
      }
    }
  }
  const coarse = Int32Array.from([...edges].filter((_, i) => i % 2 === 0 || i === count));
  const massed = merged.tile(2, undefined, undefined, 'mass')!;
  near(
    massed.values,
    Array.from({ length: massed.rows * massed.cols }, (_, i) =>
      unitWeight(at, coarse, Math.floor(i / massed.cols), i % massed.cols),
    ),
  );
  // A part of it.
  const part = merged.tile(1, [1, 3], [0, 2])!;
  near(
    part.values,
    [1, 2].flatMap((u) => [0, 1].map((v) => unitWeight(at, edges, u, v))),
  );
});

test('several queries are a mean, several keys a sum, with or without units', () => {
  const n = 14;
  const data = weights(7, n, true);
  const dense = new Dense(nd(data, n), true);
  const mean = lineOf(dense, 'from', [2, 9, 5])!;
  near(
    mean.values,
    Array.from({ length: 10 }, (_, j) => [2, 9, 5].reduce((sum, i) => sum + data[i * n + j], 0) / 3),
  );
  const sum = lineOf(dense, 'by', [6, 3])!;
  expect(sum.start).toBe(3);
  near(
    sum.values,
    Array.from({ length: n - 3 }, (_, k) => data[(3 + k) * n + 3] + data[(3 + k) * n + 6]),
  );
  expect(lineOf(dense, 'from', [4])).toEqual(dense.line('from', 4));
  expect(lineOf(dense, 'from', [])).toBeUndefined();
});

test.each([1, 2, 3, 4])('without hidden keys rows sum to 1 again, or are taken out (%i)', (seed) => {
  const n = 12 + seed;
  const data = weights(seed + 20, n, seed % 2 === 0);
  // One row rests on what is hidden.
  const hidden = [0, 3];
  for (let j = 0; j < n; j++) data[5 * n + j] = j === 0 ? 0.97 : j < 4 ? 0.01 : 0;
  const out = Uint8Array.from({ length: n }, (_, j) => (hidden.includes(j) ? 1 : 0));
  const dense = new Dense(nd(data, n), seed % 2 === 0);
  const left = Array.from({ length: n }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < n; j++) if (!out[j]) sum += data[i * n + j];
    return sum;
  });
  for (const total of [1, undefined]) {
    near(visibleOf(dense, out, total)()!, left);
    const shares = sharesOf([visibleOf(dense, out, total)()!]);
    expect([...shares.gone]).toEqual(left.map((share) => (share < LEAST ? 1 : 0)));
    expect(shares.gone[5]).toBe(1);
    const read = dense.read({ columns: [keepOf(out)], rows: shares.rows });
    for (let i = 0; i < n; i++) {
      const sum = Array.from(read.line('from', i)!.values).reduce((a, b) => a + b, 0);
      expect(sum).toBeCloseTo(shares.gone[i] ? 0 : 1, 5);
      if (!shares.gone[i])
        near(
          read.line('from', i)!.values,
          Array.from(read.line('from', i)!.values, (_, j) => (out[j] ? 0 : data[i * n + j] / left[i])),
        );
    }
    // A unit is the mean over the rows that are left of it.
    const edges = [0, 4, 7, n];
    const units = dense.read({ columns: [keepOf(out)], rows: overUnits(shares, edges) });
    const row = new Merged(units, { rows: edges, cols: edges }).line('from', 1)!;
    expect(Array.from(row.values).reduce((a, b) => a + b)).toBeCloseTo(1, 5);
  }
  // One head too few takes the row out of all; so does what is not asked for.
  const both = sharesOf(
    [new Float64Array(n).fill(1), Float64Array.from(left)],
    Uint8Array.from({ length: n }, (_, i) => Number(i === 2)),
  );
  expect([both.gone[5], both.rows[0][5], both.gone[2], both.rows[0][11]]).toEqual([1, 0, 1, 1]);
});

/** As float16 and as the 8-bit root carry it. */
function carried(value: number, precision: Precision): number {
  if (precision === 'sqrt8') return (Math.round(255 * Math.sqrt(value)) / 255) ** 2;
  const step = 2 ** (Math.max(-14, Math.floor(Math.log2(value || 1e-9))) - 10);
  return Math.round(value / step) * step;
}

test.each(['sqrt8', 'float16'] as const)('bounds hold for what is made of %s', (precision) => {
  for (let seed = 1; seed < 12; seed++) {
    const next = random(seed + 300);
    const n = 16;
    const own = (weight: number) => errorOf(weight, precision);
    const exact = weights(seed, n, false);
    const sent = Float64Array.from(exact, (value) => carried(value, precision));
    const factors = Float32Array.from({ length: n }, () => (seed % 3 ? 3 * next() : 4 * next() - 2));
    const most = Math.max(...factors.map(Math.abs));
    const signed = factors.some((f) => f < 0);
    const hidden = [0, 4];
    const shown = (j: number) => !hidden.includes(j);
    for (let i = 0; i < n; i++) {
      const left = (of: Float64Array) => 1 - hidden.reduce((sum, j) => sum + of[i * n + j], 0);
      const row = 1 / left(sent);
      const slack = row * (2 * 2 * own(1 / 2) + 1e-6);
      const read = (of: Float64Array, j: number) => (shown(j) ? (of[i * n + j] * factors[j]) / left(of) : 0);
      for (let j = 0; j < n; j++) {
        const value = read(sent, j);
        const bound = boundOf(value, own, { factor: most, row, slack, signed, sum: 1 }, 2);
        expect(Math.abs(value - read(exact, j))).toBeLessThanOrEqual(bound + 1e-12);
      }
      for (const [from, to] of [
        [1, 5],
        [6, 16],
        [0, 16],
      ]) {
        const sum = (of: Float64Array) =>
          Array.from({ length: to - from }, (_, k) => read(of, from + k)).reduce((a, b) => a + b);
        const bound = boundOf(sum(sent), own, { factor: most, row, slack, signed, sum: to - from }, 2);
        expect(Math.abs(sum(sent) - sum(exact))).toBeLessThanOrEqual(bound + 1e-12);
      }
    }
  }
});

test('a head that stays in the kernel is weighed there and merged here', async () => {
  const n = 17;
  const data = weights(3, n, true);
  const factors = Float32Array.from({ length: n }, (_, j) => (j === 0 ? 0 : 1 + j / n));
  const edges = units(8, n);
  const unpacked = (text: string) => new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const listed = (sent: number[] | { from: number; to: number; step: number }) =>
    Array.isArray(sent) ? sent : [...steps([sent.from, sent.to], sent.step)];
  const names: string[] = [];
  /** As mechviz/views/_pattern_remote.py answers. */
  const kernel = async (name: string, args: object): Promise<Answer> => {
    const { reading, rows, cols, from } = args as Record<string, never>;
    names.push(name);
    const columns = unpacked((reading as { factors: { columns: string } }).factors.columns);
    const at = (i: number, j: number) => (j > i ? 0 : data[i * n + j] * columns[j]);
    const [down, across] = [listed(rows).slice(from as number), listed(cols)];
    const cells = down.slice(0, -1).flatMap((top, r) =>
      across.slice(0, -1).map((left, c) => {
        let sum = 0;
        for (let i = top; i < down[r + 1]; i++) for (let j = left; j < across[c + 1]; j++) sum += at(i, j);
        return sum / (down[r + 1] - top);
      }),
    );
    return { value: {}, arrays: [nd(Float32Array.from(cells), down.length - 1)] };
  };
  const remote = new Remote((name, args) => kernel(name, { ...args }), { remote: [n, n] }, true, [0]);
  // The factors travel with every question here: this kernel keeps none.
  const merged = new Merged(remote.read({ columns: [factors] }), { rows: edges, cols: edges });
  await vi.waitFor(() => expect(merged.tile(1)?.rows).toBe(edges.length - 1));
  for (let u = 0; u + 1 < edges.length; u++) {
    const row = Array.from({ length: u + 1 }, (_, v) =>
      unitWeight((i, j) => data[i * n + j] * factors[j], edges, u, v),
    );
    near(merged.line('from', u)!.values, row);
  }
  // All of it in one question: rows are read from what has come.
  expect(names).toEqual(['cells']);
});
