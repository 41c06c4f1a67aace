import { expect, test } from 'vitest';
import { behind, isMasked, seenOf } from '../src/parts/seen';

const row = { start: 0, values: Float32Array.from([0, 0, 0, 0.25, 0.75]) };

test('a row begins where the window of its first query does', () => {
  expect(seenOf(row, 'from', [4], { window: 2 })).toEqual({ start: 3, values: Float32Array.from([0.25, 0.75]) });
  expect(seenOf(row, 'from', [3, 4], { window: 2 }).start).toBe(2);
  expect(seenOf(row, 'from', [1], { window: 9 })).toBe(row);
  expect(seenOf(row, 'from', [1], {})).toBe(row);
});

test('a column ends with the last query whose window reaches back to it, and begins at its own of a head with a sink', () => {
  expect(seenOf({ start: 1, values: [1, 2, 3, 4] }, 'by', [1], { window: 2 })).toEqual({ start: 1, values: [1, 2] });
  expect(seenOf({ start: 0, values: [0, 1, 2, 3] }, 'by', [1], { sink: 4 })).toEqual({ start: 1, values: [1, 2, 3] });
  const sink = { start: 0, values: [1, 2, 3, 4] };
  expect(seenOf(sink, 'by', [4], { sink: 4, window: 2 })).toBe(sink); // every query sees it
});

test('between a query and the sink nothing is seen, and what is hidden stays so', () => {
  expect([...behind([1], 4)]).toEqual([0, 0, 1, 1, 0]);
  expect([...behind([0, 2], 4, Uint8Array.from([1, 0, 0, 0, 0]))]).toEqual([1, 0, 0, 1, 0]);
});

test('a cell is masked where all of it is', () => {
  const mask = { window: 3, sink: 8 };
  expect(isMasked(mask, [5, 6], [0, 3])).toBe(true); // query 5 sees 3, 4 and 5
  expect(isMasked(mask, [5, 6], [0, 4])).toBe(false);
  expect(isMasked(mask, [4, 6], [6, 8])).toBe(true);
  expect(isMasked(mask, [4, 6], [6, 9])).toBe(false); // with the sink
  expect(isMasked({}, [0, 1], [5, 6])).toBe(false);
});
