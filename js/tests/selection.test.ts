import { expect, test } from 'vitest';
import { AXES, changed, emptySelection, sameSelection } from '../src/selection';

test('an empty selection has every axis, each with a list of its own', () => {
  const selection = emptySelection();
  expect(Object.keys(selection)).toEqual([...AXES]);
  selection.heads.push(1);
  expect(selection.layers).toEqual([]);
  expect(emptySelection().heads).toEqual([]);
});

test('a picked position is read as the destination of attention', () => {
  const selection = changed({ ...emptySelection(), keys: [2], heads: [1] }, { positions: [5] });
  expect(selection).toMatchObject({ positions: [5], queries: [5], keys: [], heads: [1] });
});

test('a change that names queries or keys is taken as it is', () => {
  expect(changed(emptySelection(), { positions: [5], queries: [5], keys: [2] })).toMatchObject({
    positions: [5],
    queries: [5],
    keys: [2],
  });
  expect(changed({ ...emptySelection(), positions: [1], queries: [1] }, { keys: [0] })).toMatchObject({
    positions: [1],
    queries: [1],
    keys: [0],
  });
});

test('letting go of positions lets go of queries', () => {
  const before = { ...emptySelection(), positions: [1], queries: [1], keys: [0] };
  expect(changed(before, { positions: [] })).toEqual(emptySelection());
});

test('neurons are of their layers: others let go of them, the same keep them', () => {
  const pinned = { ...emptySelection(), layers: [0, 0], neurons: [148, 206], features: [3] };
  expect(changed(pinned, { layers: [2], heads: [1] })).toMatchObject({ layers: [2], neurons: [], features: [3] });
  expect(changed(pinned, { layers: [0], heads: [1] }).neurons).toEqual([148, 206]);
  expect(changed(pinned, { layers: [2], neurons: [9] }).neurons).toEqual([9]);
  expect(changed(pinned, { positions: [1] }).neurons).toEqual([148, 206]);
  // of no layer
  expect(changed({ ...emptySelection(), neurons: [7] }, { layers: [2] }).neurons).toEqual([7]);
});

test('a change leaves the selection that it came from alone', () => {
  const before = emptySelection();
  changed(before, { positions: [1] });
  expect(before).toEqual(emptySelection());
});

test('selections are compared by content and order', () => {
  const a = { ...emptySelection(), heads: [0, 1] };
  expect(sameSelection(a, { ...emptySelection(), heads: [0, 1] })).toBe(true);
  expect(sameSelection(a, { ...emptySelection(), heads: [1, 0] })).toBe(false);
  expect(sameSelection(a, { ...emptySelection(), heads: [0] })).toBe(false);
  expect(sameSelection(a, { ...emptySelection(), layers: [0, 1] })).toBe(false);
});
