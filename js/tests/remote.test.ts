/** Heads that stay in the kernel: the same answers as from the array, one question of a purpose at a time, the newest first. */
import { expect, test, vi } from 'vitest';
import type { Answer, How } from '../src/backend';
import { Dense } from '../src/pattern/dense';
import { steps, type Pattern, type Reading } from '../src/pattern/pattern';
import { Remote } from '../src/pattern/remote';
import type { NdArray } from '../src/wire';
import { random } from './random';

const N = 40;

function dense(seed: number): Dense {
  const next = random(seed);
  const data = Float32Array.from({ length: N * N }, (_, i) => (i % N <= Math.floor(i / N) ? next() : 0));
  return new Dense({ data, shape: [N, N], precision: 'exact' }, true);
}
const HEADS = [dense(1), dense(2)];

interface Asked {
  name: string;
  args: any;
  how?: How;
}

/** A kernel that answers from arrays, three rows of cells at a time; `hold` keeps its answers until they are let go. */
function kernel() {
  const asked: Asked[] = [];
  const readings = new Map<string, Reading>();
  let held: (() => void)[] | undefined;
  let broken = '';
  const answer = async ({ name, args }: Asked): Promise<Answer> => {
    if (broken) throw new Error(broken);
    const said = args.reading;
    if (said?.factors) {
      const floats = (text: string | null) =>
        text === null ? undefined : new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
      const split = (all?: Float32Array) =>
        all && Array.from({ length: all.length / N }, (_, i) => all.subarray(i * N, (i + 1) * N));
      const { columns, rows } = said.factors;
      readings.set(said.key, { columns: split(floats(columns)), rows: split(floats(rows)), combine: said.combine });
    }
    if (said && !readings.has(said.key)) return { value: { unknown: true }, arrays: [] };
    const [first, ...others] = args.heads.map((head: number) => HEADS[head]);
    const pattern: Pattern = said ? first.read(readings.get(said.key)!, others) : first;
    const give = (data: ArrayLike<number>): Answer => {
      const array: NdArray = { data: Float32Array.from(data), shape: [data.length], precision: 'exact' };
      return { value: {}, arrays: [array] };
    };
    const edges = (sent: any) => ('from' in sent ? steps([sent.from, sent.to], sent.step) : Int32Array.from(sent));
    if (name === 'line') {
      const line = pattern.line(args.direction, args.index)!;
      const whole = new Float32Array(N);
      whole.set(line.values as Float64Array, line.start);
      return give(whole);
    }
    if (name === 'peak') return { value: pattern.peak(args.rows, args.cols), arrays: [] };
    const rows = edges(args.rows).subarray(args.from, args.from + 4);
    return give(pattern.cut({ rows, cols: edges(args.cols) }, args.pooling)!.values);
  };
  const ask = (name: string, args: object, how?: How) => {
    const question = { name, args, how };
    asked.push(question);
    if (!held) return answer(question);
    return new Promise<Answer>((resolve, reject) => held!.push(() => answer(question).then(resolve, reject)));
  };
  return {
    asked,
    ask,
    forget: () => readings.clear(),
    hold: () => (held = []),
    letGo: async () => {
      const all = held ?? [];
      held = held && [];
      all.forEach((go) => go());
      await new Promise((resolve) => setTimeout(resolve));
    },
    break: (with_: string) => (broken = with_),
  };
}

const remote = (ask: Remote['ask'], heads = [0], behind = false) =>
  new Remote(ask, { remote: [N, N] }, true, heads, behind);

/** Read again and again, as a view does when something has come, until it is complete. */
function watched<T>(read: () => T, ready: (value: T) => boolean): Promise<T> {
  return vi.waitFor(
    () => {
      const now = read();
      expect(ready(now)).toBe(true);
      return now;
    },
    { interval: 2 },
  );
}

const near = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  expect(a.length).toBe(b.length);
  for (let i = 0; i < a.length; i++) expect(Math.abs(a[i] - b[i])).toBeLessThan(1e-6);
};

test.each(['max', 'mass'] as const)('tiles, rows, columns and cells as of the array: %s', async (pooling) => {
  const pattern = remote(kernel().ask, [1]);
  for (const step of [1, 3, 7, 64]) {
    const tile = (await watched(
      () => pattern.tile(step, undefined, undefined, pooling),
      (t) => t?.done === t?.rows && !!t,
    ))!;
    const other = HEADS[1].tile(step, undefined, undefined, pooling);
    expect([tile.rows, tile.cols, tile.step]).toEqual([other.rows, other.cols, step]);
    near(tile.values, other.values);
  }
  const part = (await watched(
    () => pattern.tile(4, [5, 19], [10, 40], pooling),
    (t) => !!t && t.done === t.rows,
  ))!;
  near(part.values, HEADS[1].tile(4, [5, 19], [10, 40], pooling).values);
  const words = { rows: [0, 1, 7, 20, N], cols: [3, 4, 30] };
  near(
    (await watched(
      () => pattern.cut(words, pooling),
      (t) => !!t && t.done === t.rows,
    ))!.values,
    HEADS[1].cut(words, pooling).values,
  );
  for (const direction of ['from', 'by'] as const) {
    const line = (await watched(
      () => pattern.line(direction, 9),
      (l) => !!l,
    ))!;
    const other = HEADS[1].line(direction, 9);
    expect(line.start).toBe(other.start);
    near(line.values, other.values);
  }
  expect(
    await watched(
      () => pattern.peak([8, 16], [0, 8]),
      (c) => !!c,
    ),
  ).toEqual(HEADS[1].peak([8, 16], [0, 8]));
  expect(pattern.peak([0, 8], [16, 24])).toBeUndefined(); // behind the mask: nothing to ask
});

test('a reading is asked with its factors once, and again where the kernel has forgotten them', async () => {
  const one = kernel();
  const columns = [0, 1].map((h) => Float32Array.from({ length: N }, (_, j) => (j === 5 ? 0 : h + j / N)));
  const reading: Reading = { columns, rows: [Float32Array.from({ length: N }, (_, i) => 1 + i / N)], combine: 'max' };
  const pattern = remote(one.ask, [0]).read(reading, [remote(one.ask, [1])]);
  const wanted = HEADS[0].read(reading, [HEADS[1]]);
  near(
    (await watched(
      () => pattern.line('from', 30),
      (l) => !!l,
    ))!.values,
    wanted.line('from', 30).values,
  );
  near(
    (await watched(
      () => pattern.tile(5),
      (t) => !!t && t.done === t.rows,
    ))!.values,
    wanted.tile(5).values,
  );
  expect(one.asked.filter(({ args }) => args.reading.factors)).toHaveLength(1);
  one.forget();
  near(
    (await watched(
      () => pattern.line('from', 31),
      (l) => !!l,
    ))!.values,
    wanted.line('from', 31).values,
  );
  expect(one.asked.filter(({ args }) => args.reading.factors)).toHaveLength(2);
});

test('one viewport is asked for at a time, the newest next; what waits behind everything says so', async () => {
  const one = kernel();
  one.hold();
  const pattern = remote(one.ask);
  pattern.tile(2);
  pattern.tile(1, [0, 10], [0, 10]);
  pattern.tile(1, [10, 20], [0, 10]);
  pattern.tile(1, [20, 30], [0, 10]);
  pattern.tile(1, [20, 30], [10, 20]);
  expect(one.asked.map(({ args, how }) => [args.rows, !!how?.background])).toEqual([
    [{ from: 0, to: N, step: 2 }, true],
    [{ from: 0, to: 10, step: 1 }, false],
  ]);
  await one.letGo();
  const [, , ...next] = one.asked;
  // Rows of the overview go on; of viewports the newest is next, not those between.
  expect(next.map(({ args }) => [args.rows.from, args.cols.from, args.from])).toEqual([
    [0, 0, 3],
    [20, 10, 0],
  ]);
  const before = one.asked.length;
  remote(one.ask, [1], true).tile(1, [0, 10], [0, 10]);
  expect(one.asked[before].how?.background).toBe(true);
});

test('a kernel that is busy is told of, and what failed is asked again on retry only', async () => {
  const one = kernel();
  one.hold();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const pattern = remote(one.ask);
  pattern.tile(2);
  expect(pattern.late).toBe(false);
  vi.advanceTimersByTime(2000);
  expect(pattern.late).toBe(true);
  vi.useRealTimers();
  one.break('no memory');
  await one.letGo();
  expect([pattern.late, pattern.problem]).toEqual([false, 'no memory']);
  const before = one.asked.length;
  pattern.tile(2);
  expect(one.asked).toHaveLength(before);
  one.break('');
  pattern.retry();
  pattern.tile(2);
  expect(one.asked).toHaveLength(before + 1);
});
