/** What an attention view says aloud: what the keys lead to and what is picked, never what the pointer passes over. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { page, userEvent } from 'vitest/browser';
import { fixed } from '../src/number';
import { summaryOf } from '../src/parts/rowsummary';
import type { TokensJson } from '../src/views/types';
import { causalRows, mountAttention, type Mounted } from './attentionview';

const tokens = {
  label: ['BOS', '·Mary', '·', '·gave', "·'"],
  role: ['BOS', null, null, null, null],
} as unknown as TokensJson;
const said = (values: number[], partner: number | undefined, more: object = {}) =>
  summaryOf({
    ...{ by: false, subject: 3, partner, line: { start: 0, values }, own: tokens, others: tokens },
    print: (value) => fixed(value, 2),
    options: { signed: false, errorOf: () => 0 },
    ...more,
  });

test('a row in one sentence: the largest in order, and the rest', () => {
  expect(said([0.05, 0.71, 0.04, 0.2], 1)).toBe(
    "'gave' at 3 reads 'Mary' at 1 0.71, then 'gave' at 3 0.20, then BOS at 0 0.05; rest 0.04",
  );
  // A lone space keeps its dot; a cell that is not the largest comes first.
  expect(said([0.05, 0.71, 0.04, 0.2], 2)).toBe(
    "'gave' at 3 reads '·' at 2 0.04, rank 4 of 4. Largest: 'Mary' at 1 0.71, then 'gave' at 3 0.20, then BOS at 0 0.05; rest 0.04",
  );
  expect(said([1], undefined)).toBe("'gave' at 3 reads BOS at 0 1.00");
  const signed = { by: true, options: { signed: true, errorOf: () => 0 }, called: 'sum of 2 keys' };
  expect(said([0.1, -0.5], undefined, signed)).toBe("sum of 2 keys is read by 'Mary' at 1 −0.50, then BOS at 0 0.10");
});

let abort: AbortController;
let at: Mounted;
const WORDS = ['<s>', 'When', ' Mary', ' and', ' John', ' gave'];

beforeEach(async () => {
  abort = new AbortController();
  await page.viewport(956, 900);
  await userEvent.hover(document.documentElement, { position: { x: 950, y: 890 } });
  at = await mountAttention({ heads: [causalRows(6, (q) => q - 1)], words: WORDS }, abort.signal);
});
afterEach(() => {
  abort.abort();
  document.body.replaceChildren();
});

const live = () => at.root.querySelector('section[aria-label="read-out"] [aria-live=polite]')!.textContent!;
const map = () => at.root.querySelector<HTMLElement>('.map')!;
const rest = (ms: number) => new Promise((done) => setTimeout(done, ms));

test('the pointer is silent; arrow keys are told once they stand still; a pick is told', async () => {
  const box = map().querySelector('canvas')!.getBoundingClientRect();
  const outer = map().getBoundingClientRect();
  const spot = (q: number, k: number) => ({
    x: box.left - outer.left + ((k + 0.5) * box.width) / 6,
    y: box.top - outer.top + ((q + 0.5) * box.height) / 6,
  });
  await userEvent.hover(map(), { position: spot(4, 1) });
  await vi.waitFor(() => expect(at.figure.hover.query).toBe(4));
  await rest(400);
  expect(live()).toBe('');
  await userEvent.click(map(), { position: spot(4, 1) });
  await vi.waitFor(() =>
    expect(live()).toMatch(/^'John' at 4 reads 'When' at 1 0\.0750, rank 2 of 5\. Largest: 'and' at 3/),
  );
  await userEvent.unhover(map());
  map().focus();
  const heard: string[] = [];
  const watch = new MutationObserver(() => heard.push(live()));
  watch.observe(at.root.querySelector('section[aria-label="read-out"] [aria-live=polite]')!, {
    ...{ childList: true, characterData: true, subtree: true },
  });
  await userEvent.keyboard('{ArrowUp}{ArrowUp}');
  await vi.waitFor(() => expect(heard.at(-1)).toMatch(/^'Mary' at 2 reads 'When' at 1 0\.7000/));
  watch.disconnect();
  expect(heard.every((text) => text.startsWith("'Mary' at 2"))).toBe(true); // and nothing on the way
});

test('the row can be read as a table, and every way to say it stands in one place', () => {
  const table = at.root.querySelector('section[aria-label="read-out"] table')!;
  expect(table.closest('[aria-hidden]')).toBeNull();
  expect(at.root.querySelectorAll('section[aria-label="read-out"] [aria-live]')).toHaveLength(1);
});
