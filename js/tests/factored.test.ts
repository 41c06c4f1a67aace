/** Heads held as factors: the same answers as from the array, whoever computes them, and in time the whole overview. */
import { expect, test, vi } from 'vitest';
import type { Pooling } from '../src/pattern/pattern';
import { Dense } from '../src/pattern/dense';
import { Engine } from '../src/pattern/engine';
import { Factored, type FactorsJson } from '../src/pattern/factored';
import type { Tile } from '../src/pattern/pattern';
import type { NdArray } from '../src/wire';
import { random } from './random';

const DIM = 6;

interface Case {
  rows: number;
  cols: number;
  causal?: boolean;
  window?: number;
  offset?: number;
  softcap?: number;
  sink?: boolean;
  mask?: boolean;
  /** A query and a key that meet. */
  spike?: [number, number];
}

const nd = (data: Float32Array | Uint8Array, ...shape: number[]): NdArray => ({ data, shape, precision: 'exact' });

/** Factors from a seed, and the array that they stand for, summed weight by weight. */
function made(seed: number, options: Case) {
  const { rows, cols, causal = false, window = null, offset = 0, softcap = null, sink = false, mask, spike } = options;
  const next = random(seed);
  const queries = Float32Array.from({ length: rows * DIM }, () => 2 * next() - 1);
  const keys = Float32Array.from({ length: cols * DIM }, () => 2 * next() - 1);
  if (spike) {
    // A column that no other query and key have: their score is 900 more.
    for (let i = 0; i < rows; i++) queries[i * DIM] = i === spike[0] ? 30 : 0;
    for (let j = 0; j < cols; j++) keys[j * DIM] = j === spike[1] ? 30 : 0;
  }
  const allowed = Uint8Array.from({ length: cols }, (_, j) => (mask && j % 5 === 2 ? 0 : 1));
  const [normaliser, sinks] = [new Float32Array(rows), new Float32Array(rows)];
  const width = cols + (sink ? 1 : 0);
  const weights = new Float64Array(rows * width);
  for (let i = 0; i < rows; i++) {
    let total = sink ? Math.exp(0.5) : 0;
    const scores = Array.from({ length: cols }, (_, j) => {
      const here = i + offset;
      if ((causal && j > here) || (window !== null && j <= here - window) || !allowed[j]) return -Infinity;
      let score = 0;
      for (let d = 0; d < DIM; d++) score += queries[i * DIM + d] * keys[j * DIM + d];
      return softcap === null ? score : softcap * Math.tanh(score / softcap);
    });
    const top = Math.max(0, ...scores);
    total *= Math.exp(-top);
    for (const score of scores) total += Math.exp(score - top);
    normaliser[i] = total ? top + Math.log(total) : Infinity;
    scores.forEach((score, j) => (weights[i * width + j] = Math.exp(score - normaliser[i])));
    if (sink) weights[i * width + cols] = sinks[i] = Math.exp(0.5 - normaliser[i]);
  }
  const json: FactorsJson = {
    queries: nd(queries, rows, DIM),
    keys: nd(keys, cols, DIM),
    normaliser: nd(normaliser, rows),
    sink: sink ? nd(sinks, rows) : null,
    mask: mask ? nd(allowed, cols) : null,
    ...{ causal, window, offset, softcap, error: 4e-4, precision: 'float16' },
  };
  const drawn = causal && !sink && offset <= 0 && rows === cols;
  const dense = new Dense({ data: weights, shape: [rows, width], precision: 'exact' }, drawn);
  return { json, drawn, dense, weights, width };
}

const CASES: Record<string, Case> = {
  causal: { rows: 37, cols: 37, causal: true },
  'all keys': { rows: 21, cols: 34 },
  window: { rows: 40, cols: 40, causal: true, window: 9 },
  'more keys than queries': { rows: 11, cols: 30, causal: true, offset: 19 },
  'rows that see nothing': { rows: 12, cols: 12, causal: true, offset: -3 },
  'soft cap': { rows: 18, cols: 18, causal: true, softcap: 0.7 },
  sink: { rows: 16, cols: 16, causal: true, sink: true },
  padding: { rows: 19, cols: 23, mask: true },
  'one cell': { rows: 1, cols: 1, causal: true },
};

const near = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  expect(a.length).toBe(b.length);
  for (let i = 0; i < a.length; i++) expect(Math.abs(a[i] - b[i])).toBeLessThan(2e-6);
};

async function whole(pattern: Factored, step: number, pooling: Pooling = 'max'): Promise<Tile> {
  return vi.waitFor(
    () => {
      const tile = pattern.tile(step, undefined, undefined, pooling);
      expect(tile?.done).toBe(tile?.rows);
      expect(tile).toBeDefined();
      return tile!;
    },
    { interval: 5 },
  );
}

test.each(Object.entries(CASES))('rows, columns, cells and tiles as of the array: %s', async (_, options) => {
  const { json, drawn, dense } = made(1, options);
  const pattern = Factored.of(json, drawn);
  expect([pattern.queries, pattern.keys, pattern.error]).toEqual([dense.queries, dense.keys, 4e-4]);
  for (let i = 0; i < dense.queries; i++) {
    const [mine, other] = [pattern.line('from', i), dense.line('from', i)];
    expect(mine.start).toBe(other.start);
    near(mine.values, other.values);
  }
  for (let j = 0; j < dense.keys; j++) {
    const [mine, other] = [pattern.line('by', j), dense.line('by', j)];
    expect(mine.start).toBe(other.start);
    near(mine.values, other.values);
  }
  for (const step of [1, 3, 7, 64]) {
    const [mine, other] = [await whole(pattern, step), dense.tile(step)];
    expect([mine.rows, mine.cols, mine.step, mine.origin]).toEqual([other.rows, other.cols, step, other.origin]);
    near(mine.values, other.values);
    const found = pattern.peak([0, step], [0, step]);
    if (other.values[0] > 0) expect(found).toEqual(dense.peak([0, step], [0, step]));
  }
});

test('a part of a tile is cut at whole cells, as of the array', async () => {
  const { json, drawn, dense } = made(2, { rows: 30, cols: 40 });
  const pattern = Factored.of(json, drawn);
  const tile = await vi.waitFor(() => {
    const part = pattern.tile(4, [5, 19], [10, 40]);
    expect(part?.done).toBe(4);
    return part!;
  });
  const other = dense.tile(4, [5, 19], [10, 40]);
  expect([tile.rows, tile.cols, tile.origin]).toEqual([other.rows, other.cols, other.origin]);
  near(tile.values, other.values);
});

test('under max no spike is lost at any step, and its cell leads back to it', async () => {
  const next = random(5);
  for (let round = 0; round < 12; round++) {
    const count = 2 + Math.floor(next() * 60);
    const query = Math.floor(next() * count);
    const spike: [number, number] = [query, Math.floor(next() * (query + 1))];
    const { json, drawn } = made(round, { rows: count, cols: count, causal: true, spike });
    const pattern = Factored.of(json, drawn);
    for (const step of [1, 2, 5, 16, 100]) {
      const tile = await whole(pattern, step);
      const [r, c] = spike.map((at) => Math.floor(at / step));
      // Its score is 900 above all others of its row; a float32 of 900 is off by up to 3e-5.
      expect(tile.values[r * tile.cols + c]).toBeGreaterThan(0.9999);
    }
    expect(pattern.peak([query, query + 1], [0, count])).toEqual({ query, key: spike[1] });
  }
});

test.each(['causal', 'window', 'all keys', 'sink', 'padding'])(
  'masses add up to 1 for each query: %s',
  async (name) => {
    const { json, drawn, weights, width } = made(3, CASES[name]);
    const pattern = Factored.of(json, drawn);
    for (const step of [1, 4, 9]) {
      const tile = await whole(pattern, step, 'mass');
      for (let r = 0; r < tile.rows; r++) {
        const row = tile.values.subarray(r * tile.cols, (r + 1) * tile.cols);
        expect((row as Float32Array).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
      }
      // And a cell is the sum over its keys, as a mean over its queries.
      const tall = Math.min(step, pattern.queries);
      let sum = 0;
      for (let i = 0; i < tall; i++) for (let j = 0; j < Math.min(step, width); j++) sum += weights[i * width + j];
      expect(tile.values[0]).toBeCloseTo(sum / tall, 5);
    }
  },
);

test('the maxima of rows come with the overview', async () => {
  const { json, drawn, dense } = made(4, { rows: 33, cols: 33, causal: true });
  const pattern = Factored.of(json, drawn);
  expect(pattern.maxima()).toBeUndefined();
  await whole(pattern, 4);
  const rows = Array.from({ length: 33 }, (_, i) => Math.max(...Array.from(dense.line('from', i).values)));
  near(pattern.maxima()!, rows);
});

test('a worker computes, and where none may start the page does, in bands that come one by one', async () => {
  const { json, drawn } = made(6, { rows: 400, cols: 400, causal: true });
  const [aside, here] = [new Engine(), new Engine(false)];
  const [mine, other] = [Factored.of(json, drawn, aside), Factored.of(json, drawn, here)];
  expect((await whole(mine, 3)).values).toEqual((await whole(other, 3)).values);
  expect(aside.worker).toBeInstanceOf(Worker);
  expect(here.worker).toBe('refused');
});

test('a worker that is refused late leaves nothing undone', async () => {
  const engine = new Engine();
  const { json, drawn, dense } = made(7, { rows: 50, cols: 50, causal: true });
  const pattern = Factored.of(json, drawn, engine);
  expect(pattern.tile(2)).toBeUndefined();
  // As a content security policy does: after the orders have been sent.
  (engine.worker as Worker).dispatchEvent(new ErrorEvent('error', { cancelable: true }));
  near((await whole(pattern, 2)).values, dense.tile(2).values);
  expect(engine.worker).toBe('refused');
});

test('what is asked last is done first', async () => {
  const engine = new Engine(false);
  const { json, drawn } = made(8, { rows: 900, cols: 900, causal: true });
  const pattern = Factored.of(json, drawn, engine);
  pattern.tile(1);
  await vi.waitFor(() => expect(pattern.tile(1)?.done).toBeGreaterThan(0), { interval: 1 });
  const before = pattern.tile(1)!.done!;
  expect(before).toBeLessThan(900);
  await vi.waitFor(() => expect(pattern.tile(300, [0, 300])?.done).toBe(1), { interval: 1 });
  await whole(pattern, 1);
});
