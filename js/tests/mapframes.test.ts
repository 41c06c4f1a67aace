/** Frames and lines over the cells of a map, in pixels. */
import { expect, test } from 'vitest';
import type { Plan } from '../src/parts/heatmap';
import { boundaryLines, boxOf, cellFrame, hairlines, lineFrame } from '../src/parts/mapframes';

/** Four queries and keys, cells of 10 pixels from (72, 20) on with a gap of 1. */
const plan: Plan = {
  ...{ step: 1, cell: 10, gap: 1, left: 72, top: 20, width: 40, height: 40, outerWidth: 140, outerHeight: 64 },
  ...{ from: { query: 0, key: 0 }, to: { query: 4, key: 4 }, longest: 20, keyLabels: 'diagonal' },
};
const FROM = { direction: 'from', subject: 2, partner: undefined } as const;
const BY = { ...FROM, direction: 'by' } as const;

test('a frame lies just outside of its cell; out of sight there is none', () => {
  expect(cellFrame(plan, { query: 2, key: 1 })).toBe('M80.5 38.5h12v12h-12z');
  expect(cellFrame(plan, { query: 2, key: 1 }, 3)).toBe('M77.5 35.5h18v18h-18z');
  const part = { ...plan, from: { query: 2, key: 0 }, to: { query: 6, key: 4 } };
  expect(cellFrame(part, { query: 2, key: 1 })).toBe('M80.5 18.5h12v12h-12z');
  expect(cellFrame(part, { query: 1, key: 1 })).toBe('');
  // Without a gap the line is nearer; of pooled weights the cell that they share is framed.
  const pooled = { ...plan, step: 4, gap: 0, to: { query: 16, key: 16 } };
  expect(cellFrame(pooled, { query: 7, key: 4 })).toBe('M81.25 29.25h11.5v11.5h-11.5z');
});

test('a row ends at the diagonal of a causal map, a column begins there', () => {
  expect(lineFrame(plan, FROM, true, 2, 4, 4)).toBe('M70.5 38.5h32v12h-32z');
  expect(lineFrame(plan, FROM, false, 2, 4, 4)).toBe('M70.5 38.5h42v12h-42z');
  expect(lineFrame(plan, BY, true, 2, 4, 4)).toBe('M90.5 38.5h12v22h-12z');
  expect(lineFrame(plan, BY, false, 2, 4, 4)).toBe('M90.5 18.5h12v42h-12z');
});

test('hairlines lead from the label to the cell', () => {
  const cell = { query: 3, key: 1 };
  // The label on the diagonal stands to the right of its cell, whose own height the right line leaves out.
  expect(hairlines(plan, cell, false)).toBe('M81.5 30V48.5M91.5 39V48.5');
  expect(hairlines({ ...plan, keyLabels: 'along' }, cell, false)).toBe('M81.5 16V48.5M91.5 16V48.5');
  expect(hairlines(plan, cell, true)).toBe('M68 49.5H80.5M68 59.5H80.5');
  expect(hairlines(plan, { query: 4, key: 1 }, true)).toBe('');
});

test('where a cell, a row or a column is drawn, from where cells begin', () => {
  expect(boxOf(plan, { query: 2, key: 1 })).toEqual([10, 20, 9, 9]);
  expect(boxOf(plan, { query: 2 })).toEqual([0, 20, 0, 9]);
  expect(boxOf(plan, { key: 1 })).toEqual([10, 10, 9, 0]); // a column begins on the diagonal
  expect(boxOf({ ...plan, keyLabels: 'along' }, { key: 1 })).toEqual([10, 0, 9, 0]);
  expect(boxOf(plan, { query: 4, key: 1 })).toBeUndefined();
});

test('lines before an answer, as far as the mask leaves cells beside them', () => {
  expect(boundaryLines(plan, 2, 2, true)).toBe('M66 39.5H91.5M91.5 39.5V59');
  expect(boundaryLines(plan, 2, 2, false)).toBe('M66 39.5H111M91.5 20V59');
  expect(boundaryLines(plan, undefined, 0, true)).toBe(''); // all of them are the answer
});
