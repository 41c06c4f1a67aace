/** Lines between two columns of tokens: which are drawn, what they say, and what the pointer and the keys do with them. */
import axe from 'axe-core';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { page, userEvent } from 'vitest/browser';
import { svgOf } from '../src/export/svg';
import { setPaper } from '../src/export/paper';
import {
  decimalsOf,
  lineIn,
  linesPlan,
  linksOf,
  outside,
  ownLinks,
  queryY,
  keyY,
  under,
  windowOf,
} from '../src/parts/bipartite';
import { causalRows, mountAttention, type Mounted, type Shown } from './attentionview';
import { random } from './random';

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

const tileOf = (values: number[], n: number) => ({
  ...{ values: Float64Array.from(values), rows: n, cols: n, step: 1, origin: { query: 0, key: 0 } },
});

test('the weights of a size and more have a line, the strongest last; of too many the largest', () => {
  const next = random(3);
  const n = 20;
  const values = Array.from({ length: n * n }, () => next() - 0.5);
  const found = linksOf([tileOf(values, n)], false, 0.3);
  const wanted = values.filter((v) => Math.abs(v) >= 0.3).sort((a, b) => Math.abs(a) - Math.abs(b));
  expect(found.links.map(({ value }) => value)).toEqual(wanted);
  expect(found.links.every(({ query, key, value }) => values[query * n + key] === value)).toBe(true);
  const few = linksOf([tileOf(values, n)], false, 0.3, 10);
  expect([few.all, few.links.map(({ value }) => value)]).toEqual([wanted.length, wanted.slice(-10)]);
  // Under a causal mask what lies above the diagonal has none, whatever stands there; NaN has none.
  expect(linksOf([tileOf([0.5, 9, NaN, 0.25], 2)], true, 0.1).links.map(({ value }) => value)).toEqual([0.25, 0.5]);
  // Part of a head, as far as it is here; two heads.
  const part = { ...tileOf([1, 0, 0, 1], 2), origin: { query: 5, key: 3 }, done: 1 };
  expect(linksOf([part, part], false, 0.5).links).toEqual([
    { query: 5, key: 3, value: 1, head: 0 },
    { query: 5, key: 3, value: 1, head: 1 },
  ]);
});

test('rows and columns of a tile, and how much of them a window leaves out', () => {
  const tile = tileOf([1, 0, 0, 0.5, 0.5, 0, 0.2, 0.3, 0.5], 3);
  expect(lineIn(tile, false, 1, true)).toEqual({ start: 0, values: Float64Array.of(0.5, 0.5) });
  expect(lineIn(tile, true, 1, true)).toEqual({ start: 1, values: Float64Array.of(0.5, 0.3) });
  expect(lineIn(tile, true, 1, false)!.values).toEqual(Float64Array.of(0, 0.5, 0.3));
  expect(lineIn({ ...tile, origin: { query: 4, key: 4 } }, false, 3, true)).toBeUndefined();
  const line = { start: 2, values: [0.1, 0.2, 0.3, 0.4] };
  expect(outside(line, [3, 5])).toBeCloseTo(0.5);
  expect(ownLinks([line], true, 7, [3, 6], 0.25)).toEqual([
    { query: 4, key: 7, value: 0.3, head: 0 },
    { query: 5, key: 7, value: 0.4, head: 0 },
  ]);
  expect([windowOf(100, 70, 240), windowOf(1000, 500, 240), windowOf(1000, 5, 240), windowOf(1000, 999, 240)]).toEqual([
    [0, 100],
    [380, 620],
    [0, 240],
    [760, 1000],
  ]);
});

test('what is under a point: tokens beside the lines, and the line that is nearest', () => {
  const plan = linesPlan(560, [0, 4], [0, 4], [60, 60], 44);
  expect(under(plan, [], plan.left - 20, queryY(plan, 2))).toEqual({ query: 2 });
  expect(under(plan, [], plan.right + 20, keyY(plan, 1))).toEqual({ key: 1 });
  const links = [
    { query: 3, key: 0, value: 0.2, head: 0 },
    { query: 0, key: 3, value: 0.9, head: 0 },
  ];
  const quarter = plan.left + (plan.right - plan.left) / 4;
  expect(under(plan, links, quarter, queryY(plan, 0.75) + 2)).toEqual({ query: 0, key: 3 });
  expect(under(plan, links, quarter, queryY(plan, 2.25) - 2)).toEqual({ query: 3, key: 0 });
  expect(under(plan, links, quarter, queryY(plan, 1.5))).toBeUndefined();
  // Where two cross, the stronger.
  expect(under(plan, links, (plan.left + plan.right) / 2, queryY(plan, 1.5))).toEqual({ query: 0, key: 3 });
  expect([0.004, 6e-4, 5e-8, 0].map((error) => decimalsOf(error))).toEqual([2, 3, 4, 4]);
});

const WORDS = ['<s>', 'When', ' Mary', ' and', ' John', ' gave'];
const N = WORDS.length;
const HEAD = causalRows(N, (q) => q - 1);

async function show(options: Partial<Shown> = {}) {
  at = await mountAttention({ heads: [HEAD], words: WORDS, ...options }, abort.signal);
}
const lines = () => at.root.querySelector<HTMLElement>('.lines')!;
const texts = (selector: string) =>
  [...lines().querySelectorAll(selector)].map((element) => element.textContent!.replace(/\s+/g, ' ').trim());
const rule = () => at.root.querySelector('.rule span')!.textContent;
const said = () =>
  at.root.querySelector('section[aria-label="read-out"] .head')!.textContent!.replace(/\s+/g, ' ').trim();

/** Where a token stands, from the labels that are drawn. */
function spot(side: 'query' | 'key', index: number): { x: number; y: number } {
  const box = lines().getBoundingClientRect();
  const labels = [...lines().querySelectorAll<SVGTextElement>(side === 'query' ? '.label.end' : '.label:not(.end)')];
  const label = labels[index].getBoundingClientRect();
  return { x: (label.left + label.right) / 2 - box.left, y: (label.top + label.bottom) / 2 - box.top };
}

test('l changes the map into lines and back; a query that is pointed at says its weights at their ends', async () => {
  await show();
  at.root.querySelector<HTMLElement>('.map')!.focus();
  await userEvent.keyboard('l');
  await vi.waitFor(() => expect(lines()).not.toBeNull());
  expect(at.root.querySelector('.map')).toBeNull();
  expect(texts('.label')).toHaveLength(2 * N);
  expect(rule()).toBe('21 lines: weight ≥ 0.05');
  expect(texts('.number')).toEqual([]); // nothing is pointed at
  await userEvent.hover(lines(), { position: spot('query', 4) });
  await vi.waitFor(() => expect(said()).toMatch(/^·John 4 reads from/));
  expect(texts('.number').sort()).toEqual(['0.0750', '0.0750', '0.0750', '0.0750', '0.7000']);
  expect(lines().querySelectorAll('svg path')).toHaveLength(5);
  expect(getComputedStyle(lines().querySelector('canvas')!).opacity).toBe('0.25');
  // A key is asked who reads it.
  await userEvent.hover(lines(), { position: spot('key', 2) });
  await vi.waitFor(() => expect(said()).toMatch(/^·Mary 2 is read by/));
  expect(texts('.number').sort()).toEqual(['0.0600', '0.0750', '0.1500', '0.7000']);
  await userEvent.click(lines(), { position: spot('key', 2) });
  expect(at.written.at(-1)).toMatchObject({ keys: [2], queries: [], positions: [2] });
  await userEvent.unhover(lines());
  await vi.waitFor(() => expect(at.figure.hover).toEqual({}));
  expect(texts('.number')).toHaveLength(4); // what is picked stays
});

test('a line that is pointed at is a cell; arrow keys move, Enter pins, Esc lets go', async () => {
  await show({ more: { drawing: 'lines' } });
  const [from, to] = [spot('query', 5), spot('key', 4)];
  const canvas = lines().querySelector('canvas')!.getBoundingClientRect();
  const left = canvas.left - lines().getBoundingClientRect().left;
  await userEvent.hover(lines(), { position: { x: left + canvas.width / 2, y: (from.y + to.y) / 2 } });
  await vi.waitFor(() => expect(said()).toBe('·gave 5 reads from ·John 4 0.7000 rank 1 of 6'));
  lines().focus();
  await userEvent.keyboard('{ArrowUp}{ArrowLeft}');
  await vi.waitFor(() => expect(said()).toMatch(/^·John 4 reads from ·and 3 0.7000/));
  await userEvent.keyboard('{Enter}');
  expect(at.figure.selection).toMatchObject({ queries: [4], keys: [3] });
  await userEvent.keyboard('{Escape}');
  expect(at.figure.selection).toMatchObject({ queries: [], keys: [] });
});

test('what the reader asks for is drawn, and said', async () => {
  await show({ more: { drawing: 'lines' } });
  const field = at.root.querySelector<HTMLInputElement>('.rule input')!;
  await userEvent.fill(field, '0.5');
  await vi.waitFor(() => expect(rule()).toBe('6 lines: weight ≥ 0.5'));
  await userEvent.fill(field, 'x');
  await vi.waitFor(() => expect(rule()).toBe('21 lines: weight ≥ 0.05'));
});

test('several heads are drawn as one, or side by side with their names, each with its numbers', async () => {
  await show({ heads: [HEAD, causalRows(N, () => 0)], more: { drawing: 'lines' } });
  at.figure.pick({ layers: [0, 0], heads: [0, 1] });
  await vi.waitFor(() => expect(at.root.querySelector('.combine')).not.toBeNull());
  expect(at.root.querySelector('.legend span')).toBeNull();
  const side = [...at.root.querySelectorAll('button')].find((b) => b.textContent === 'side by side')!;
  await userEvent.click(side);
  const names = () => [...at.root.querySelectorAll('.lines ~ .legend span')].map((s) => s.textContent!.trim());
  await vi.waitFor(() => expect(names()).toEqual(['L0H0', 'L0H1']));
  await userEvent.hover(lines(), { position: spot('query', 5) });
  await vi.waitFor(() => expect(texts('.number')).toHaveLength(12));
  const paths = [...lines().querySelectorAll('svg path')];
  expect(new Set(paths.map((path) => path.getAttribute('stroke'))).size).toBe(2);
  expect(new Set(paths.map((path) => path.getAttribute('stroke-dasharray'))).size).toBe(2);
  const colours = () => new Set([...lines().querySelectorAll('.number')].map((text) => getComputedStyle(text).fill));
  expect(colours().size).toBe(2);
  // Where two columns of numbers leave no room for lines, every token has the number of the head that has most.
  await page.viewport(380, 900);
  await userEvent.hover(lines(), { position: spot('query', 5) });
  await vi.waitFor(() =>
    expect(texts('.number').sort()).toEqual(['0.0600', '0.0600', '0.0600', '0.0600', '0.7000', '0.7000']),
  );
  expect(rule()).toContain('numbers of the head that has most');
  expect(lines().getBoundingClientRect().width).toBeLessThanOrEqual(380);
});

test('of a long text the tokens round what is picked are drawn, and how much lies outside is said', async () => {
  const n = 400;
  const head = causalRows(n, (q) => (q > 300 ? 10 : q - 1), 0.9);
  await show({ heads: [head], words: Array.from({ length: n }, (_, i) => ` t${i}`), more: { drawing: 'lines' } });
  expect(rule()).toContain('queries 160–399 of 400, keys 160–399 of 400');
  at.figure.pick({ queries: [350], keys: [], positions: [350] });
  await vi.waitFor(() => expect(rule()).toMatch(/0\.94\d+ of this row is on keys outside of the window$/));
  at.figure.pick({ queries: [350], keys: [10], positions: [350] });
  await vi.waitFor(() => expect(rule()).toContain('queries 160–399 of 400, keys 0–239 of 400'));
  expect(texts('.number')).toContain('0.9000');
  // Keys take the window along, and what is picked does not call it back.
  lines().focus();
  for (let i = 0; i < 22; i++) await userEvent.keyboard('{PageUp}');
  await vi.waitFor(() => expect(said()).toMatch(/^·t130 130 reads from ·t10 10/));
  expect(rule()).toContain('queries 30–269 of 400, keys 0–239 of 400');
});

test('of several tokens that are read together each has its lines, and their ends say what they come to', async () => {
  await show({ more: { drawing: 'lines' } });
  at.figure.pick({ queries: [4, 5], keys: [], positions: [4, 5] });
  await vi.waitFor(() => expect(texts('.number')).toHaveLength(6));
  // Of John, who reads five, and gave, who reads six.
  expect(lines().querySelectorAll('svg path:not(.boundary)')).toHaveLength(11);
  const mean = [0, 1, 2, 3, 4, 5].map((k) => (HEAD[4 * N + k] + HEAD[5 * N + k]) / 2);
  expect(texts('.number').sort()).toEqual(mean.map((value) => value.toFixed(4)).sort());
  const strong = [...lines().querySelectorAll('.label.end.strong')].map((label) => label.textContent!.trim());
  expect(strong).toEqual(['·John', '·gave']);
});

test('words and hidden tokens are drawn as they are read', async () => {
  await show({ words: ['<s>', 'When', ' Ma', 'ry', ' John', ' gave'], more: { drawing: 'lines' } });
  lines().focus();
  await userEvent.keyboard('w');
  await vi.waitFor(() => expect(texts('.label.end')).toEqual(['BOS', 'When', '·Mary', '·John', '·gave']));
  at.figure.pick({ queries: [4], keys: [], positions: [4] });
  // Weights of a word are summed over its tokens.
  const row = HEAD.slice(4 * N, 4 * N + 5);
  await vi.waitFor(() => expect(texts('.number')).toContain((row[2] + row[3]).toFixed(4)));
  await userEvent.keyboard('q');
  const products = () => at.root.querySelector('section[aria-label="q·k by dimension"]')!.textContent;
  await vi.waitFor(() => expect(products()).toContain('tokens are merged'));
  await userEvent.keyboard('wxx'); // of tokens again, and without the first
  const left = row.slice(1).map((value) => (value / (1 - row[0])).toFixed(4));
  await vi.waitFor(() => expect(texts('.number').sort()).toEqual(left.sort()));
  // The first token reads nothing else: it has no lines on either side, and says so by its colour.
  expect(texts('.label.out')).toEqual(['BOS', 'BOS']);
  const [out, other] = ['.label.out', '.label:not(.out, .strong)'].map((name) => lines().querySelector(name)!);
  expect(getComputedStyle(out).fill).not.toBe(getComputedStyle(other).fill);
});

test('differences have lines of two colours, by their size', async () => {
  const values = [0, 0, 0.25, -0.25];
  await show({
    heads: [values],
    words: ['a', ' b'],
    scale: { ramp: 'signed', limits: [-0.5, 0.5] },
    more: { drawing: 'lines', probabilities: false, quantity: 'difference of attention probability' },
  });
  expect(rule()).toBe('2 lines: size ≥ 0.025');
  await userEvent.hover(lines(), { position: spot('query', 1) });
  await vi.waitFor(() => expect(texts('.number').sort()).toEqual(['0.2500', '−0.2500']));
  const [one, other] = [...lines().querySelectorAll('svg path')].map((path) => path.getAttribute('stroke'));
  expect(one).not.toBe(other);
});

test('a file of it has lines and text, and on paper no controls', async () => {
  await show({ more: { drawing: 'lines' } });
  at.figure.pick({ queries: [5], keys: [4], positions: [5] });
  setPaper(at.figure, { width_mm: 174, ground: 'white', caption: false });
  await vi.waitFor(() => expect(at.root.querySelector('.rule input')).toBeNull());
  await new Promise((done) => setTimeout(done, 50));
  const svg = svgOf(at.root.querySelector('.figure')!, { title: 'T', writer: 'w', provenance: {} });
  expect(svg).not.toContain('<image');
  expect(svg.match(/<path[^>]*stroke-opacity/g)!.length).toBeGreaterThanOrEqual(20);
  for (const text of ['0.7000', '21 lines: weight ≥ 0.05', 'L0H0']) expect(svg).toContain(text);
  expect(svg).not.toContain('side by side');
});

test('axe finds nothing', async () => {
  await show({ heads: [HEAD, HEAD], more: { drawing: 'lines' } });
  const { violations } = await axe.run(at.root.querySelector('.attention')!, {
    rules: { region: { enabled: false }, 'color-contrast': { enabled: false } },
  });
  expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([]);
});
