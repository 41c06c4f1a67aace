/** Patterns and the parts that read them, without a view: pooling, rows and columns, read-outs, labels, geometry. */
import { expect, test } from 'vitest';
import { edges, rowMaxima } from '../src/parts/cells';
import { cornerOf, fitsColumn, gridOf, neighbour, spotAt, type Place } from '../src/parts/headgrid';
import { cellAt, labelsOf, planOf, queryLabelAt, strongIn } from '../src/parts/heatmap';
import { labelOf, place, thinned } from '../src/parts/label';
import { read } from '../src/parts/rowreadout';
import { Dense, lastColumn, pool } from '../src/pattern/dense';
import { outweighs, visible } from '../src/pattern/pattern';
import { openHeads, pointedAt } from '../src/parts/attentionpointed';
import { modesOf, scaleOf } from '../src/parts/attentionscale';
import { position, ticks } from '../src/scale';
import { emptySelection } from '../src/selection';
import type { TokensJson } from '../src/views/types';
import type { NdArray } from '../src/wire';
import { random } from './random';

function array(rows: number, cols: number, value: (r: number, c: number) => number): NdArray {
  const data = Float32Array.from({ length: rows * cols }, (_, i) => value(Math.floor(i / cols), i % cols));
  return { data, shape: [rows, cols], precision: 'exact' };
}

function tokens(count: number, text: (i: number) => string = (i) => ` t${i}`): TokensJson {
  const list = Array.from({ length: count }, (_, i) => text(i));
  return {
    text: list,
    label: list.map((t) => t.replace(/^ /, '·')),
    group: list.map((_, i) => i),
    special: list.map(() => false),
    role: list.map(() => null),
    ids: null,
    piece: list.map(() => ''),
  };
}

// --- rows, columns, peaks

test('a row ends and a column begins at the diagonal of a causal pattern', () => {
  const pattern = new Dense(
    array(4, 4, (q, k) => 10 * q + k),
    true,
  );
  expect([...Array.from(pattern.line('from', 2).values)]).toEqual([20, 21, 22]);
  expect(pattern.line('by', 2)).toEqual({ start: 2, values: Float64Array.of(22, 32) });
  const full = new Dense(
    array(2, 3, (q, k) => 10 * q + k),
    false,
  );
  expect(Array.from(full.line('from', 1).values)).toEqual([10, 11, 12]);
  expect(full.line('by', 2)).toEqual({ start: 0, values: Float64Array.of(2, 12) });
  expect([visible(pattern, 0), visible(full, 0)]).toEqual([1, 3]);
});

test.each([
  ['max', false],
  ['furthest from zero', true],
] as const)('pooling by %s shows every spike at every step, and the peak leads back to it', (_, signed) => {
  const next = random(7);
  const sign = () => (signed && next() < 0.5 ? -1 : 1);
  for (let round = 0; round < 20; round++) {
    const [rows, cols] = [1 + Math.floor(next() * 40), 1 + Math.floor(next() * 40)];
    const causal = rows === cols && next() < 0.5;
    const query = Math.floor(next() * rows);
    const key = Math.floor(next() * visible({ keys: cols, causal }, query));
    const spike = 5 * sign();
    const pattern = new Dense(
      array(rows, cols, (q, k) => (q === query && k === key ? spike : causal && k > q ? 0 : sign() * next())),
      causal,
      signed,
    );
    for (const step of [1, 2, 3, 5, 64]) {
      const tile = pattern.tile(step);
      expect([tile.rows, tile.cols]).toEqual([Math.ceil(rows / step), Math.ceil(cols / step)]);
      const [r, c] = [Math.floor(query / step), Math.floor(key / step)];
      expect(tile.values[r * tile.cols + c]).toBe(spike);
      const block = (at: number) => [at * step, (at + 1) * step] as const;
      expect(pattern.peak(block(r), block(c))).toEqual({ query, key });
    }
  }
});

test('what the mask leaves out takes no part in pooling', () => {
  // Scores below zero: the zeros above the diagonal would be the largest of every square on it.
  const pattern = new Dense(
    array(6, 6, (q, k) => (k > q ? 0 : -1 - k)),
    true,
    false,
  );
  const tile = pattern.tile(2);
  expect([tile.values[0], tile.values[4], tile.values[8]]).toEqual([-1, -3, -5]);
  expect([0, 1, 2].map((row) => lastColumn(tile, row))).toEqual([0, 1, 2]);
  expect(pattern.peak([0, 2], [2, 4])).toBeUndefined();
});

test('NaN is never hidden by pooling', () => {
  const pattern = new Dense(
    array(4, 4, (q, k) => (q === 1 && k === 2 ? NaN : 0.5)),
    false,
  );
  expect(pattern.tile(2).values[1]).toBeNaN();
  expect(pattern.peak([0, 2], [2, 4])).toEqual({ query: 1, key: 2 });
  expect([outweighs(NaN, 1, false), outweighs(1, NaN, false), outweighs(NaN, NaN, true)]).toEqual([true, false, false]);
});

test('a part of a tile is cut at whole cells', () => {
  const pattern = new Dense(
    array(6, 8, (q, k) => 10 * q + k),
    false,
  );
  const part = pattern.tile(2, [2, 6], [4, 7]);
  expect(part).toEqual({
    values: Float32Array.of(35, 37, 55, 57),
    rows: 2,
    cols: 2,
    step: 2,
    origin: { query: 2, key: 4 },
  });
  expect(pool(part, 2, false, false).values).toEqual(Float32Array.of(57));
});

test('a row is measured against its largest size; infinity aside', () => {
  const tile = new Dense(
    array(3, 3, (q, k) => [0.5, -2, Infinity, 0, 0, 9, NaN, 1, 0.25][3 * q + k]),
    false,
  ).tile(1);
  expect([...rowMaxima(tile, false)]).toEqual([2, 9, 1]);
  expect([...rowMaxima(tile, true)]).toEqual([0.5, 0, 1]);
});

// --- the read-out

const options = { size: 5, signed: false, errorOf: () => 0 };

test('the five largest and the rest add up to the row; ranks count what is larger', () => {
  const next = random(3);
  for (let round = 0; round < 50; round++) {
    const values = Float64Array.from({ length: 1 + Math.floor(next() * 12) }, () => Math.round(next() * 8) / 8);
    const partner = Math.floor(next() * values.length);
    const { top, rest, rank, count } = read({ start: 3, values }, partner + 3, options);
    const sorted = [...values].sort((a, b) => b - a);
    expect(top.map((entry) => entry.value)).toEqual(sorted.slice(0, 5));
    expect(top.every((entry) => values[entry.index - 3] === entry.value)).toBe(true);
    expect(new Set(top.map((entry) => entry.index)).size).toBe(top.length);
    const sum = values.reduce((a, b) => a + b, 0);
    expect(top.reduce((total, entry) => total + entry.value, rest.value)).toBeCloseTo(sum, 12);
    expect(rank).toBe(1 + sorted.filter((value) => value > values[partner]).length);
    expect([count, rest.count]).toEqual([values.length, Math.max(0, values.length - 5)]);
  }
});

test('signed weights are ranked by size; NaN comes last and spoils the sum that it is in', () => {
  const values = [0.1, -3, NaN, 2, -Infinity, 0.5, 0.2];
  const signed = read({ start: 0, values }, 1, { ...options, signed: true });
  expect(signed.top.map((entry) => entry.index)).toEqual([4, 1, 3, 5, 6]);
  expect(signed.rank).toBe(2);
  expect(signed.rest.value).toBeNaN();
  expect(read({ start: 0, values }, 2, options).rank).toBeUndefined();
});

test('the rest is told with the smaller of two errors', () => {
  const values = Float64Array.from({ length: 105 }, (_, i) => (i < 5 ? 0.15 : 0.0025));
  const errorOf = () => 1e-4;
  const line = { start: 0, values };
  const summed = read(line, 0, { ...options, errorOf });
  expect(summed.rest.error).toBeCloseTo(100e-4, 12);
  // Rows that sum to 1: five errors instead of a hundred.
  const known = read(line, 0, { ...options, errorOf, total: { value: 1, error: 1e-6 } });
  expect(known.rest.error).toBeCloseTo(5e-4 + 1e-6, 12);
  expect(known.rest.value).toBeCloseTo(0.25, 12);
});

// --- labels

test('labels: leading spaces, roles, cuts by width', () => {
  const text = tokens(5, (i) => [' Mary', 'abcdefghijklmn', '日本語日本語日本', '·', ' '][i]);
  text.role = [null, null, null, null, 'BOS'];
  expect(labelOf(text, 0)).toMatchObject({ dot: true, text: 'Mary', role: false });
  expect(labelOf(text, 1).text).toBe('abcdefghi…');
  expect(labelOf(text, 2).text).toBe('日本語日…'); // two columns each
  expect(labelOf(text, 3)).toMatchObject({ dot: false, text: '·' });
  expect(labelOf(text, 4)).toMatchObject({ role: true, text: 'BOS' });
});

test('labels never stand closer than their room, what is pointed at first', () => {
  const next = random(5);
  for (let round = 0; round < 50; round++) {
    const count = 1 + Math.floor(next() * 600);
    const pitch = 0.3 + next() * 30;
    const pointed = [Math.floor(next() * count)];
    const strong = new Set(Array.from({ length: 9 }, () => Math.floor(next() * count)));
    const shown = labelsOf(count, pitch, pointed, strong).map((label) => label.index);
    expect(shown).toContain(pointed[0]);
    for (let i = 1; i < shown.length; i++) expect((shown[i] - shown[i - 1]) * pitch).toBeGreaterThan(11.9);
    if (pitch >= 12) expect(shown).toHaveLength(count);
  }
  expect(thinned(100, 3, 13)).toEqual([0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95]);
  expect(
    place(
      [
        { index: 4, rank: 1 },
        { index: 5, rank: 0 },
        { index: 8, rank: 2 },
      ],
      5,
      13,
    ),
  ).toEqual([5, 8]);
  expect([...strongIn({ start: 2, values: [0.04, -0.05, NaN] }, 0.05)]).toEqual([3]);
});

// --- geometry

test('cells have one size from 4 px on, stop at 36 px, and are pooled below 1 px', () => {
  const plan = (n: number, width: number, causal = true) =>
    planOf(
      width,
      tokens(n, () => ' a'),
      tokens(n, () => ' a'),
      causal,
    );
  expect(plan(17, 508)).toMatchObject({ cell: 24, step: 1, gap: 1, left: 72, top: 20 });
  expect(plan(1, 508)).toMatchObject({ cell: 36, step: 1 });
  expect(plan(80, 508)).toMatchObject({ cell: 5, gap: 0 });
  const large = plan(1024, 508);
  expect(large.step).toBe(3);
  expect(large.cell).toBeGreaterThanOrEqual(1);
  for (const n of [1, 2, 17, 80, 300, 1024]) {
    for (const width of [300, 508, 1000]) {
      for (const causal of [true, false]) {
        const { outerWidth, cell, step, gap } = plan(n, width, causal);
        expect(outerWidth).toBeLessThanOrEqual(Math.max(width, 200) + 1e-9);
        expect(gap).toBe(cell >= 6 ? 1 : 0);
        expect(step).toBe(Math.max(1, step));
      }
    }
  }
  expect(planOf(508, tokens(3000), tokens(4), false).height).toBeLessThanOrEqual(1000);
  expect(plan(3, 508, false).keyLabels).toBe('along');
  expect(plan(60, 508, false).keyLabels).toBe('upright');
});

test('a point finds the weight that is drawn there', () => {
  const pattern = new Dense(
    array(9, 9, (q, k) => (k > q ? 0 : (q * 9 + k) / 81)),
    true,
  );
  const plan = planOf(508, tokens(9), tokens(9), true);
  const center = (at: number) => (at + 0.5) * plan.cell;
  expect(cellAt(plan, pattern, plan.left + center(2), plan.top + center(7))).toEqual({ query: 7, key: 2 });
  expect(cellAt(plan, pattern, plan.left + center(7), plan.top + center(2))).toBeUndefined();
  expect(cellAt(plan, pattern, plan.left - 1, plan.top + 1)).toBeUndefined();
  expect(queryLabelAt(plan, 10, plan.top + center(4))).toBe(4);
  expect(queryLabelAt(plan, plan.left + 1, plan.top + center(4))).toBeUndefined();
  expect(queryLabelAt(plan, 10, plan.top - 1)).toBeUndefined();
});

test('edges cover the whole width, no cell is left out', () => {
  for (const [count, size] of [
    [17, 408],
    [342, 436],
    [9, 9],
    [1, 36],
  ]) {
    const at = edges(count, size, 5);
    expect([at[0], at[count]]).toEqual([5, 5 + size]);
    for (let i = 0; i < count; i++) expect(at[i + 1]).toBeGreaterThan(at[i]);
  }
});

test('the grid of heads: pitch, labels, loupe, hit areas, arrows', () => {
  expect(gridOf(362, 3, 6, 57, [17, 17])).toMatchObject({
    pitch: 57,
    thumb: 51,
    gap: 6,
    left: 26,
    width: 362,
    loupe: false,
  });
  expect(gridOf(900, 48, 64, 57, [17, 17])).toMatchObject({ pitch: 13, everyHead: 8, everyLayer: 4, loupe: true });
  expect(gridOf(600, 48, 64, 57, [17, 17])).toMatchObject({ pitch: 9, gap: 1, everyHead: 8, everyLayer: 4 });
  expect([fitsColumn(12, 362), fitsColumn(64, 362)]).toEqual([true, false]);
  // A pattern of few queries has flat thumbnails.
  expect(gridOf(362, 3, 6, 57, [5, 10])).toMatchObject({ across: 51, down: 26, pitchDown: 32 });
  // Row 1 has no heads.
  const places: Place[] = [0, 1, 2, 3].map((index) => ({ index, row: 2 * (index >> 1), column: index & 1 }));
  const plan = gridOf(362, 3, 2, 57, [9, 9]);
  for (const { row, column } of places) {
    const { x, y } = cornerOf(plan, { row, column });
    for (const inside of [0, 50]) expect(spotAt(plan, x + inside, y + inside)).toEqual({ row, column });
  }
  expect(spotAt(plan, 5, 30)).toEqual({ row: 0, column: -1 });
  expect(spotAt(plan, 30, 5)).toEqual({ row: -1, column: 0 });
  const led = ['ArrowRight', 'ArrowDown', 'ArrowLeft', 'ArrowUp', 'a'].map((key) => neighbour(places, 0, key));
  expect(led).toEqual([1, 2, 0, 0, undefined]);
  expect(neighbour(places, 3, 'ArrowUp')).toBe(1);
  // One that is not shown leads to the first that is.
  expect(neighbour(places, 9, 'ArrowUp')).toBe(0);
});

// --- what is pointed at

const sizes = { queries: 5, keys: 5, causal: true };
const selected = (axes: object) => ({ ...emptySelection(), ...axes });

test('hover leads, then what is picked, then the last token; masked cells are none', () => {
  const at = (direction: 'from' | 'by', hover: object, axes: object = {}) => {
    const { subject, partner } = pointedAt(direction, hover, selected(axes), sizes);
    return [subject, partner];
  };
  expect(at('from', {})).toEqual([4, undefined]);
  expect(at('from', { query: 3, key: 1, position: 3 })).toEqual([3, 1]);
  expect(at('by', { query: 3, key: 1, position: 1 })).toEqual([1, 3]);
  expect(at('from', { position: 2 })).toEqual([2, undefined]);
  expect(at('from', { layer: 1 }, { queries: [3], keys: [0], positions: [3] })).toEqual([3, 0]);
  expect(at('by', {}, { queries: [3], keys: [0], positions: [0] })).toEqual([0, 3]);
  // A token picked in a text is read as a query, and asked about in both directions.
  expect(at('from', {}, { queries: [2], positions: [2] })).toEqual([2, undefined]);
  expect(at('by', {}, { queries: [2], positions: [2] })).toEqual([2, undefined]);
  // Position 0 is a position; one beyond the text is none; a key behind the query is masked.
  expect(at('from', { position: 0 }, { positions: [3] })).toEqual([0, undefined]);
  expect(at('from', { position: 77 }, { positions: [3] })).toEqual([3, undefined]);
  expect(at('from', {}, { queries: [1], keys: [4] })).toEqual([1, undefined]);
});

test('the head that is open is the one picked, by its true numbers', () => {
  const heads = [5, 7].flatMap((layer, row) => [0, 3].map((head, column) => ({ row, layer, column, head, name: '' })));
  expect(openHeads(heads, selected({}), 1)).toEqual([1]);
  expect(openHeads(heads, selected({ layers: [7], heads: [3] }), 1)).toEqual([3]);
  expect(openHeads(heads, selected({ layers: [7] }), 1)).toEqual([3]);
  expect(openHeads(heads, selected({ layers: [1], heads: [1] }), 1)).toEqual([1]);
  // Several: in the order of the selection, pair by pair; of lists of other lengths every combination.
  expect(openHeads(heads, selected({ layers: [7, 5, 9], heads: [3, 0, 0] }), 1)).toEqual([3, 0]);
  expect(openHeads(heads, selected({ layers: [7], heads: [3, 0] }), 1)).toEqual([3, 2]);
  expect(openHeads(heads, selected({ layers: [5, 7] }), 1)).toEqual([1, 3]);
});

test('scales bend without moving their ends', () => {
  const ink = { ramp: 'ink', limits: [0, 0.5] } as const;
  const signed = { ramp: 'signed', limits: [-2, 2] } as const;
  expect(modesOf({ ramp: 'ink', limits: [0, 1] })).toEqual(['linear', 'sqrt', 'log', 'row', 'head']);
  expect(modesOf({ ramp: 'ink', limits: [0.2, 1] })).toEqual(['linear']);
  for (const mode of ['linear', 'sqrt', 'log'] as const) {
    const scale = scaleOf({ ramp: 'ink', limits: [...ink.limits] }, mode);
    expect([position(scale, 0), position(scale, 0.5)]).toEqual([0, 1]);
    expect(position(scale, 0.6)).toBeGreaterThan(1);
    expect(ticks(scale).length).toBeLessThanOrEqual(4);
    expect(ticks(scale).at(-1)).toBe(0.5);
  }
  expect(position(scaleOf({ ramp: 'ink', limits: [0, 1] }, 'sqrt'), 0.25)).toBe(0.5);
  expect(position(scaleOf({ ramp: 'ink', limits: [0, 1] }, 'log'), 0.01)).toBeCloseTo(0.5, 12);
  const bent = scaleOf({ ramp: 'signed', limits: [...signed.limits] }, 'sqrt');
  expect([-2, -0.5, 0, 0.5, 2].map((v) => position(bent, v))).toEqual([0, 0.25, 0.5, 0.75, 1]);
});
