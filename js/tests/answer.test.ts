/** A model's answer in an attention view: its boundary in map, strip and lines, and a step from token to token. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { page, userEvent } from 'vitest/browser';
import { answerBits, answerStep, boundaryOf } from '../src/parts/answer';
import type { TokensJson } from '../src/views/types';
import { causalRows, mountAttention, type Mounted, type Shown } from './attentionview';

let abort: AbortController;
let at: Mounted;

beforeEach(async () => {
  abort = new AbortController();
  await page.viewport(956, 900);
  await userEvent.hover(document.documentElement, { position: { x: 950, y: 890 } });
});
afterEach(() => {
  abort.abort();
  document.body.replaceChildren();
});

const tokens = (n: number, prompt?: number | null) =>
  ({ label: Array.from({ length: n }, (_, i) => `t${i}`), prompt }) as unknown as TokensJson;

test('an answer begins where the prompt ends; without one of both there is no boundary', () => {
  expect([boundaryOf(tokens(5, 3)), boundaryOf(tokens(5, 5)), boundaryOf(tokens(5, 0)), boundaryOf(tokens(5))]).toEqual(
    [3, undefined, undefined, undefined],
  );
  expect([...answerBits(tokens(5, 3))!]).toEqual([0, 0, 0, 64, 0]);
  const step = (at: number | undefined, by: 1 | -1) => answerStep(tokens(6, 3), at, by);
  expect([step(undefined, 1), step(1, 1), step(3, 1), step(5, 1)]).toEqual([3, 3, 4, 5]);
  expect([step(undefined, -1), step(5, -1), step(3, -1)]).toEqual([5, 4, 3]);
  expect(answerStep(tokens(6), 3, 1)).toBeUndefined();
});

const WORDS = ['<s>', 'When', ' Mary', ' and', ' John', ' gave'];
const N = WORDS.length;

async function show(options: Partial<Shown> = {}) {
  at = await mountAttention(
    { heads: [causalRows(N, (q) => q - 1)], words: WORDS, prompt: 4, ...options },
    abort.signal,
  );
}
const said = () =>
  at.root.querySelector('section[aria-label="read-out"] .head')!.textContent!.replace(/\s+/g, ' ').trim();
const counted = () => at.root.querySelector('.answer span')!.textContent;

test('the boundary is drawn in the map, on both axes and within the mask, and said; the strip has a bar', async () => {
  await show();
  const canvas = at.root.querySelector('.map canvas')!.getBoundingClientRect();
  const path = at.root.querySelector<SVGPathElement>('.map .boundary')!.getBoundingClientRect();
  const cell = canvas.width / N;
  // From the left of the labels' end to the diagonal, and from there to the bottom.
  expect(path.right).toBeCloseTo(canvas.left + 4 * cell, -0.5);
  expect(path.top).toBeCloseTo(canvas.top + 4 * cell, -0.5);
  expect(path.bottom).toBeCloseTo(canvas.bottom, -0.5);
  expect(at.root.querySelectorAll('.map .axis')[1].textContent).toContain('answer from 4');
  const bars = [...at.root.querySelectorAll('[data-answer]')].map((token) => token.textContent);
  expect(bars).toEqual([' John']);
});

test('n and p, and the control, go through the answer and read from its tokens', async () => {
  await show();
  expect(counted()).toBe('answer token – of 2');
  at.root.querySelector<HTMLElement>('.map')!.focus();
  await userEvent.keyboard('n');
  await vi.waitFor(() => expect(counted()).toBe('answer token 1 of 2'));
  expect(at.written.at(-1)).toMatchObject({ queries: [4], keys: [], positions: [4] });
  expect(said()).toMatch(/^·John 4 reads from/);
  await userEvent.keyboard('t'); // what is picked is asked about: now it is read
  await vi.waitFor(() => expect(said()).toMatch(/^·John 4 is read by/));
  await userEvent.keyboard('p');
  await vi.waitFor(() => expect(said()).toMatch(/^·gave 5 reads from/));
  const [before, after] = at.root.querySelectorAll<HTMLButtonElement>('.answer button');
  expect([before.disabled, after.disabled]).toEqual([false, true]);
  await userEvent.click(before);
  await vi.waitFor(() => expect(said()).toMatch(/^·John 4 reads from/));
});

test('lines have it beside both columns; a text without an answer has nothing of it', async () => {
  await show({ more: { drawing: 'lines' } });
  expect(at.root.querySelector('.lines .boundary')!.getAttribute('d')!.match(/M/g)).toHaveLength(2);
  expect(at.root.querySelector('.rule span')!.textContent).toContain('answer from 4');
  abort.abort();
  document.body.replaceChildren();
  abort = new AbortController();
  await show({ prompt: undefined });
  expect(at.root.querySelector('.boundary, .answer, [data-answer]')).toBeNull();
});
