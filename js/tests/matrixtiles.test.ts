/** A heat map that stays in the kernel: what is here is drawn, coarser where it is not, and a drag asks now and then. */
import { expect, test } from 'vitest';
import { planOf, tileOf, within, type Plan, type SideJson } from '../src/parts/matrix';
import { MatrixTiles } from '../src/parts/matrixtiles';
import { Dense } from '../src/pattern/dense';
import type { Edges, Pattern, Tile } from '../src/pattern/pattern';
import { random } from './random';

const [DOWN, ACROSS] = [1700, 2300];
const next = random(3);
const data = Float32Array.from({ length: DOWN * ACROSS }, () => next());
const dense = new Dense({ data, shape: [DOWN, ACROSS], precision: 'exact' }, false);

const side = (count: number): SideJson => ({ noun: 'point', axes: {}, labels: null, count, mono: false, title: '' });
const all = planOf(900, side(DOWN), side(ACROSS));
const part = (rows: [number, number], columns: [number, number]): Plan => ({
  ...all,
  y: within(all.y, rows),
  x: within(all.x, columns),
});

/** A kernel that has sent so many rows of whatever was asked last. */
function kernel(done: (rows: number) => number = (rows) => rows) {
  const asked: string[] = [];
  const cut = (edges: Edges): Tile | undefined => {
    const name = [edges.rows, edges.cols].map((list) => `${list[0]}–${list[list.length - 1]}`).join(' ');
    if (asked.at(-1) !== name) asked.push(name);
    const tile = dense.cut(edges)!;
    const here = done(tile.rows);
    return here
      ? { ...tile, values: tile.values.map((v, i) => (i < here * tile.cols ? v : 0)), done: here }
      : undefined;
  };
  return { asked, pattern: { queries: DOWN, keys: ACROSS, cut } as unknown as Pattern };
}
const preview = () => {
  const tile = dense.cut({ rows: [0, 850, 1700], cols: [0, 1150, 2300] })!;
  return { values: tile.values, rows: 2, cols: 2 };
};

test.each([
  ['all of it', all],
  ['a part, pooled', part([200, 1500], [0, 1900])],
  ['a part, every number', part([300, 420], [900, 1010])],
  ['the last corner', part([1650, 1700], [2200, 2300])],
])('%s is what the whole matrix would be drawn as', (_name, plan) => {
  const tile = new MatrixTiles(kernel().pattern, preview()).tile(plan);
  const expected = tileOf(dense, plan, false)!;
  expect([tile.rows, tile.cols]).toEqual([expected.rows, expected.cols]);
  expect([...tile.values]).toEqual([...expected.values]);
});

test('before anything is here the small version stands, and then rows from the top over it', () => {
  let rows = 0;
  const tiles = new MatrixTiles(kernel(() => rows).pattern, preview());
  const blank = tiles.tile(all);
  const corner = preview().values;
  expect([blank.values[0], blank.values[blank.values.length - 1]]).toEqual([corner[0], corner[3]]);
  rows = 2;
  const some = tiles.tile(all);
  const whole = tileOf(dense, all, false)!;
  expect(some.values[some.cols + 5]).toBe(whole.values[some.cols + 5]);
  expect(some.values[2 * some.cols + 5]).toBe(corner[0]);
  // without a small version nothing is claimed to be known but zeros on the plate
  expect(new Set(new MatrixTiles(kernel(() => 0).pattern, undefined).tile(all).values)).toEqual(new Set([0]));
});

test('a drag asks for a stretch round what is shown, not for every frame; what was seen stays under what comes', () => {
  let here = true;
  const { asked, pattern } = kernel((rows) => (here ? rows : 0));
  const tiles = new MatrixTiles(pattern, preview());
  tiles.tile(all);
  for (let k = 0; k < 40; k++) tiles.tile(part([300 + k, 420 + k], [900 + k, 1010 + k]));
  expect(asked.length).toBeLessThanOrEqual(3);
  const plan = part([340, 460], [940, 1050]);
  const before = tiles.tile(plan).values;
  here = false;
  const far = part([400, 520], [1000, 1110]);
  const after = tiles.tile(far).values;
  // The upper left of it was here: row 400 and column 1000 are 60 rows and columns further.
  const width = far.x.count;
  expect(after[0]).toBe(before[60 * plan.x.count + 60]);
  // The rest is the overview's, never nothing.
  const overview = tileOf(dense, all, false)!;
  const under =
    overview.values[Math.floor(519 / all.y.step) * overview.cols + Math.floor((1000 + width - 1) / all.x.step)];
  expect([data[519 * ACROSS + 1000 + width - 1], under]).toContain(after[after.length - 1]);
});
