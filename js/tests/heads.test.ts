/** Heads of an attention view, without a view: their scores, ranks and places, several as one. */
import { expect, test } from 'vitest';
import { edges, paint, paletteOf } from '../src/parts/cells';
import { gridOf, groupsOf, loupeAt, markOf, rankedGrid, type Head } from '../src/parts/headgrid';
import { ranked, rolePairs, scoresOf, textOf } from '../src/parts/headscores';
import { pool } from '../src/pattern/dense';

const nd = (values: number[], ...shape: number[]) => ({
  ...{ data: Float64Array.from(values), shape, precision: 'exact' as const },
});

test('lines under thumbnails, groups over them, and heads by rank', () => {
  const plain = gridOf(362, 3, 6, 57, [9, 9]);
  const more = gridOf(362, 3, 6, 57, [9, 9], { groups: true, lines: 1 });
  expect([more.top - plain.top, more.pitchDown - plain.pitchDown, more.lines]).toEqual([15, 14, 1]);
  // Where a thumbnail is smaller than its text there is none.
  expect(gridOf(900, 48, 64, 57, [9, 9], { lines: 1 })).toMatchObject({ lines: 0, pitchDown: 13 });
  const ranks = rankedGrid(350, 144, 57, [9, 9], 2);
  expect(ranks).toMatchObject({ columns: 6, pitch: 57, lines: 2 });
  expect(ranks.width).toBeLessThanOrEqual(350);
  expect(ranks.height).toBe(24 * ranks.pitchDown - 6 + 6);
  const heads: Head[] = [0, 1, 2, 3].map((column) => ({
    ...{ row: 0, layer: 0, column, head: column, name: '', kv: column >> 1 },
  }));
  expect(groupsOf(heads)).toEqual([
    { name: 'kv 0', from: 0, to: 1 },
    { name: 'kv 1', from: 2, to: 3 },
  ]);
  // Layers that do not agree have none.
  expect(groupsOf([...heads, { ...heads[1], row: 1, kv: undefined }])).toEqual([]);
});

test('the row or column that is pointed at, in a thumbnail of three cells of two weights', () => {
  const plan = gridOf(362, 3, 6, 57, [6, 6]); // 51 pixels, 17 to a cell
  const tile = { values: new Float32Array(9), rows: 3, cols: 3, step: 2, origin: { query: 0, key: 0 } };
  const marks = (causal: boolean, of = plan) => [
    markOf(of, tile, causal, 'from', 2),
    markOf(of, tile, causal, 'by', 3),
  ];
  expect(marks(false)).toEqual(['M0.5 17.5h52v18h-52z', 'M17.5 0.5h18v52h-18z']);
  // Under a causal mask to the diagonal, and from it on.
  expect(marks(true)).toEqual(['M0.5 17.5h35v18h-35z', 'M17.5 17.5h18v35h-18z']);
  expect(marks(true, { ...plan, loupe: true })[0]).toBe('M0.5 17.5h35v0h-35z');
});

test('what enlarges a thumbnail stands beside it and within the grid', () => {
  const plan = gridOf(900, 48, 64, 57, [9, 9]); // a pitch of 13 from (21, 18), 852 wide
  expect(loupeAt(plan, { index: 0, row: 10, column: 0 })).toEqual({ x: 21 + 12 + 8, y: 18 + 130 - 20 });
  expect(loupeAt(plan, { index: 0, row: 0, column: 63 })).toEqual({ x: 840 - 96 - 24, y: 0 });
  expect(loupeAt(plan, { index: 0, row: 47, column: 0 }).y).toBe(plan.height - 96 - 24);
});

test('heads by a score: those without one, and those beyond the limit, are left out', () => {
  const score = { ...scoresOf(['previous'], undefined)[0], values: Float64Array.of(0.5, NaN, 0.9, 0.5) };
  expect(ranked(score, 'down', undefined)).toEqual([2, 0, 3]);
  expect(ranked(score, 'up', undefined)).toEqual([0, 3, 2]);
  expect([ranked(score, 'down', 0.9), ranked(score, 'up', 0.5), ranked(score, 'place', 0.5)]).toEqual([
    [2],
    [0, 3],
    [0, 2, 3],
  ]);
});

test('scores with the first token and without it, and from role to role', () => {
  // [with, without, head, score] of two heads and two scores.
  const mean = nd([1, 2, 3, 4, 5, 6, 7, 8], 2, 2, 2);
  const columns = (first: boolean) => scoresOf(['entropy', 'first'], mean, undefined, first).map((s) => [...s.values]);
  expect(columns(true)).toEqual([
    [1, 3],
    [2, 4],
  ]);
  expect(columns(false)).toEqual([[5, 7]]); // without the first token there is no weight on it
  const spread = nd([0.1, 0, NaN, 0, 0, 0, 0, 0], 2, 2, 2);
  const entropy = scoresOf(['entropy'], nd([1.234, 2, 3, 4], 2, 2, 1), spread)[0];
  expect([textOf(entropy, [0]), textOf(entropy, [0, 1]), textOf(entropy, [9])]).toEqual([
    '1.23 ± 0.10 nats',
    '1.62 nats',
    '–',
  ]);
  // Of END and IO, only END can read IO.
  const roles = { names: ['END', 'IO'], positions: [[4, 2]], mean: nd([1, 0.7, NaN, 1], 1, 2, 2), spread: null };
  const pairs = rolePairs({ ...roles, counts: null }, roles.mean, null);
  expect(pairs.map(({ label, values, roles }) => [label, [...values], roles])).toEqual([['END → IO', [0.7], [0, 1]]]);
});

test('outside of a sliding window nothing is drawn', () => {
  const n = 6;
  const tile = { values: new Float32Array(n * n).fill(0.5), rows: n, cols: n, step: 1, origin: { query: 0, key: 0 } };
  const look = { palette: paletteOf(document.body, 'ink'), scale: { ramp: 'ink', limits: [0, 1] } } as const;
  const drawn = (window: number | undefined, step: number) => {
    const shown = pool(tile, step, true, false);
    const size = shown.rows;
    const pixels = { data: new Uint32Array(size * size), width: size };
    const cells = { x: edges(size, size), y: edges(size, size), gap: 0, ratio: 1 };
    paint(pixels, shown, cells, {
      ...look,
      scale: { ...look.scale, limits: [0, 1] },
      perRow: false,
      causal: true,
      padding: false,
      window,
    });
    return Array.from({ length: size }, (_, r) =>
      pixels.data.slice(r * size, (r + 1) * size).reduce((n, p) => n + Number(p > 0), 0),
    );
  };
  expect(drawn(undefined, 1)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(drawn(2, 1)).toEqual([1, 2, 2, 2, 2, 2]);
  // Queries 4 and 5 see keys 3 to 5: of cells of two, those of keys 2–3 and 4–5.
  expect(drawn(2, 2)).toEqual([1, 2, 2]);
});
