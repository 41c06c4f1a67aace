/** Readings of heads: factors and combinations before pooling, cells of any size, the same from weights and from factors. */
import { expect, test, vi } from 'vitest';
import { Dense } from '../src/pattern/dense';
import { Factored } from '../src/pattern/factored';
import { edgesOf, lastColumn, mass, steps, type Edges, type Pattern, type Pooling } from '../src/pattern/pattern';
import type { NdArray } from '../src/wire';
import { random } from './random';

const [N, DIM] = [19, 4];
const nd = (data: Float32Array | Float64Array, ...shape: number[]): NdArray => ({ data, shape, precision: 'exact' });

/** A causal head from a seed, as factors and as the array that they stand for. */
function head(seed: number): { factored: Factored; dense: Dense; at: (i: number, j: number) => number } {
  const next = random(seed);
  const [q, k] = [0, 1].map(() => Float32Array.from({ length: N * DIM }, () => 3 * next() - 1.5));
  const [weights, normaliser] = [new Float64Array(N * N), new Float32Array(N)];
  for (let i = 0; i < N; i++) {
    const scores = Array.from({ length: i + 1 }, (_, j) => {
      let score = 0;
      for (let d = 0; d < DIM; d++) score += q[i * DIM + d] * k[j * DIM + d];
      return score;
    });
    normaliser[i] = Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0));
    scores.forEach((score, j) => (weights[i * N + j] = Math.exp(score - normaliser[i])));
  }
  const rule = { causal: true, window: null, offset: 0, softcap: null, sink: null, mask: null };
  const json = { queries: nd(q, N, DIM), keys: nd(k, N, DIM), normaliser: nd(normaliser, N), ...rule };
  const factored = Factored.of({ ...json, error: 1e-4, precision: 'float16' }, true);
  return { factored, dense: new Dense(nd(weights, N, N), true), at: (i, j) => weights[i * N + j] };
}

const heads = [head(1), head(2), head(3)];

/** The definition: one cell at a time, of what the mask leaves. */
function byHand(at: (i: number, j: number) => number, { rows, cols }: Edges, pooling: Pooling): number[] {
  const cells: number[] = [];
  for (let r = 0; r + 1 < rows.length; r++) {
    for (let c = 0; c + 1 < cols.length; c++) {
      let [best, sum] = [0, 0];
      for (let i = rows[r]; i < rows[r + 1]; i++) {
        for (let j = cols[c]; j < Math.min(cols[c + 1], i + 1); j++) {
          if (Math.abs(at(i, j)) > Math.abs(best)) best = at(i, j);
          sum += at(i, j);
        }
      }
      cells.push(pooling === 'max' ? best : sum / (rows[r + 1] - rows[r]));
    }
  }
  return cells;
}

const CUTS: Record<string, Edges> = {
  'squares of 4': { rows: steps([0, N], 4), cols: steps([0, N], 4) },
  words: { rows: [0, 1, 4, 5, 11, N], cols: [1, 2, 9, 10, 17] },
  'one cell': { rows: [0, N], cols: [0, N] },
};

async function complete(ask: () => ReturnType<Pattern['cut']>) {
  return vi.waitFor(
    () => {
      const tile = ask();
      expect(tile?.done ?? tile?.rows).toBe(tile!.rows);
      return tile!;
    },
    { interval: 5 },
  );
}

function near(a: ArrayLike<number>, b: ArrayLike<number>) {
  expect(a.length).toBe(b.length);
  for (let i = 0; i < a.length; i++) expect(Math.abs(a[i] - b[i])).toBeLessThan(3e-6);
}

const next = random(9);
const floats = (value: () => number) => Float32Array.from({ length: N }, value);
const COLUMNS = heads.map(() => floats(() => next() + 0.1));
const SIGNED = heads.map(() => floats(() => next() - 0.5));
for (const factors of [...COLUMNS, ...SIGNED]) factors[6] = 0; // a key that is left out
const ROWS = [floats(() => next() + 0.5)];

test.each(['mean', 'max', 'sum'] as const)(
  'factors, then heads by %s, then cells: from weights and from factors',
  async (combine) => {
    for (const columns of [undefined, COLUMNS, SIGNED]) {
      const each = heads.map(
        ({ at }, h) =>
          (i: number, j: number) =>
            at(i, j) * (columns?.[h][j] ?? 1) * ROWS[0][i],
      );
      const wanted = (i: number, j: number) => {
        const all = each.map((of) => of(i, j));
        if (combine === 'max') return all.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
        return all.reduce((a, b) => a + b) / (combine === 'mean' ? 3 : 1);
      };
      const reading = { columns, rows: ROWS, combine };
      const [a, b, c] = heads;
      for (const pattern of [
        a.factored.read(reading, [b.factored, c.factored]),
        a.dense.read(reading, [b.dense, c.dense]),
        a.factored.read(reading, [b.dense, c.factored]),
        a.dense.read(reading, [b.factored, c.dense]),
      ]) {
        expect(pattern.signed).toBe(columns === SIGNED);
        near(
          pattern.line('from', 8)!.values,
          Array.from({ length: 9 }, (_, j) => wanted(8, j)),
        );
        near(
          pattern.line('by', 5)!.values,
          Array.from({ length: N - 5 }, (_, i) => wanted(5 + i, 5)),
        );
        for (const edges of Object.values(CUTS)) {
          for (const pooling of ['max', 'mass'] as const) {
            near((await complete(() => pattern.cut(edges, pooling))).values, byHand(wanted, edges, pooling));
          }
        }
        const found = pattern.peak([4, 9], [0, 7])!;
        near([wanted(found.query, found.key)], byHand(wanted, { rows: [4, 9], cols: [0, 7] }, 'max'));
      }
    }
  },
);

test('one head of factors under norms is pooled by its scores, with the same result', async () => {
  const { factored, at } = heads[0];
  const pattern = factored.read({ columns: COLUMNS.slice(0, 1), rows: ROWS });
  const wanted = (i: number, j: number) => at(i, j) * COLUMNS[0][j] * ROWS[0][i];
  for (const edges of Object.values(CUTS)) {
    near((await complete(() => pattern.cut(edges))).values, byHand(wanted, edges, 'max'));
  }
  const whole = await complete(() => pattern.tile(4));
  near(whole.values, byHand(wanted, edgesOf(whole, N, N), 'max'));
  const rows = Array.from({ length: N }, (_, i) => Math.max(...Array.from({ length: i + 1 }, (_, j) => wanted(i, j))));
  near(pattern.maxima()!, rows);
  // What may be off in a weight is off by as much as its factors make of it.
  expect(pattern.error).toBeCloseTo(1e-4 * Math.max(...COLUMNS[0]) * Math.max(...ROWS[0]), 12);
});

test('visible mass, and rows that share it out anew sum to 1', async () => {
  const columns = [Float32Array.from({ length: N }, (_, j) => (j === 0 || j === 6 ? 0 : 1))];
  for (const source of [heads[0].factored, heads[0].dense] as Pattern[]) {
    const read = source.read({ columns });
    const left = await vi.waitFor(() => {
      const known = mass(read);
      expect(known).toBeDefined();
      return known!;
    });
    const { at } = heads[0];
    near(
      left,
      Array.from(
        { length: N },
        (_, i) =>
          byHand(at, { rows: [i, i + 1], cols: [1, 6] }, 'mass')[0] +
          byHand(at, { rows: [i, i + 1], cols: [7, N] }, 'mass')[0],
      ),
    );
    const rows = [Float32Array.from(left, (visible) => (visible > 0.05 ? 1 / visible : 0))];
    const shared = source.read({ columns, rows });
    const total = await complete(() => shared.cut({ rows: steps([0, N], 1), cols: [0, N] }, 'mass'));
    near(
      total.values,
      Array.from(rows[0], (factor) => (factor ? 1 : 0)),
    );
    expect([total.values[0], total.values[1] > 0.9999]).toEqual([0, true]);
  }
});

test('a tile knows where its cells lie, and where a mask ends its rows', () => {
  const tile = heads[0].dense.tile(4, [4, 12], [4, N]);
  const edges = edgesOf(tile, N, N);
  expect([Array.from(edges.rows), Array.from(edges.cols)]).toEqual([
    [4, 8, 12],
    [4, 8, 12, 16, 19],
  ]);
  expect([lastColumn(tile, 0), lastColumn(tile, 1)]).toEqual([0, 1]);
  const words = heads[0].dense.cut({ rows: [0, 2, 6, 9], cols: [1, 3, 5, 12] });
  // Query 1 sees keys to 1, query 5 keys to 5, query 8 keys to 8: the cells that begin at 1; at 1, 3 and 5; at all.
  expect([0, 1, 2].map((row) => lastColumn(words, row))).toEqual([0, 2, 2]);
});
