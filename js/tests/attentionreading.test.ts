/** The attention view as a reader has it read: weighed, without some tokens, by words and spans, several rows as one. */
import axe from 'axe-core';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { page, userEvent } from 'vitest/browser';
import type { Backend } from '../src/backend';
import '../src/labviews';
import { colorAt, lut } from '../src/color';
import type { Figure, FigureJson } from '../src/figure.svelte';
import { mountFigure } from '../src/mount';
import { general } from '../src/number';
import type { Selection } from '../src/selection';
import type { Header, NdArray, Precision } from '../src/wire';

let abort: AbortController;
let root: ShadowRoot;
let figure: Figure;
let json: FigureJson;
let written: Selection[];
let asked: Record<string, unknown>[];

beforeEach(async () => {
  await page.viewport(956, 900);
  await userEvent.hover(document.documentElement, { position: { x: 950, y: 890 } });
});
afterEach(() => {
  abort.abort();
  document.body.replaceChildren();
});

const WORDS = ['<s>', 'When', ' Ma', 'ry', ' and'];
const N = 5;
// prettier-ignore
const HEAD = [
  1, 0, 0, 0, 0,
  0.75, 0.25, 0, 0, 0,
  0.1, 0.6, 0.3, 0, 0,
  0.97, 0.01, 0.01, 0.01, 0,
  0.4, 0.1, 0.2, 0.1, 0.2,
];
const OTHER = HEAD.map((_, i) => (i % N > Math.floor(i / N) ? 0 : 1 / (Math.floor(i / N) + 1)));
const NORMS = [5, 1, 2, 0.5, 3];
const ALONG = [5, -1, 2, -0.5, 3];

const nd = (values: number[], ...shape: number[]): NdArray => ({
  ...{ data: Float32Array.from(values), shape, precision: 'exact' },
});
const factor = (name: string, more: object) => ({
  ...{ name, symbol: `‖${name}‖`, signed: false, values: null, asked: false, reason: null, missing: {} },
  ...more,
});

interface Options {
  words?: string[];
  weigh?: object[];
  spans?: object;
  reading?: object;
  live?: boolean;
  precision?: Precision;
  answer?(name: string, args: Record<string, never>): { value: object; arrays: NdArray[] };
}

async function show({ words = WORDS, weigh, spans, reading, live = false, precision = 'exact', answer }: Options = {}) {
  const array = (values: number[]): NdArray => ({ data: Float64Array.from(values), shape: [N, N], precision });
  const arrays: Record<string, NdArray> = {
    h0: array(HEAD),
    h1: array(OTHER),
    norms: nd([...NORMS, ...NORMS.map((v) => 2 * v)], 2, N),
    along: nd([...ALONG, ...ALONG], 2, N),
  };
  const tokens = {
    ...{ text: words, label: words.map((w) => w.replace(/^ /, '·')), group: words.map((_, i) => i) },
    ...{ special: words.map((w) => /^<.*>$/.test(w)), ids: null, piece: words.map(() => '') },
    role: words.map((w) => ({ '<s>': 'BOS', '<pad>': 'PAD' })[w] ?? null),
  };
  const place = (head: number) => ({
    row: 0,
    layer: 0,
    column: head,
    head,
    name: `L0H${head}`,
    nan: 0,
    above: 0,
    below: 0,
  });
  const props = {
    ...{ frame: { title: 'Attention', provenance: [], edits: [] }, tokens, key_tokens: null },
    heads: [0, 1].map((head) => ({ ...place(head), values: { $array: `h${head}` } })),
    ...{ rows: ['L0'], columns: ['H0', 'H1'], thumbs: null, thumb_step: 1, reasons: null, peaks: null, scores: null },
    ...{ roles: null, causal: true, sink: false, probabilities: true, quantity: 'attention probability' },
    ...{ scale: { ramp: 'ink', limits: [0, 1] }, row_total: { value: 1, error: 1e-6 }, open: 0 },
    ...{ spans: spans ?? null, key_spans: spans ?? null, weigh: [weigh ?? []], reading },
  };
  const header: Header = { dtype: 'float32', shape: [], encoding: 'raw', layout: 'dense', exact: true };
  [written, asked] = [[], []];
  abort = new AbortController();
  const backend: Backend = {
    live,
    load: async (id) => arrays[id],
    ask: async (_, name, args) => {
      asked.push({ name, ...(args as object) });
      return answer!(name, args as never);
    },
    writeSelection: (selection) => written.push(selection),
  };
  const el = document.createElement('div');
  document.body.append(el);
  json = {
    layout: { kind: 'view', id: '0' } as const,
    views: { '0': { kind: 'attention', props } },
    arrays: Object.fromEntries(Object.keys(arrays).map((id) => [id, { ...header, lazy: !/h\d/.test(id) }])),
    selection: {},
  };
  figure = await mountFigure(el, json, backend, abort.signal);
  root = el.querySelector('.mechviz')!.shadowRoot!;
  await vi.waitFor(() => expect(map()).not.toBeNull());
}

const map = () => root.querySelector<HTMLElement>('.map')!;
const readout = () => root.querySelector('section[aria-label="read-out"]')!;
const plain = (element: Element | null) => element!.textContent!.replace(/\s+/g, ' ').trim();
const said = () => plain(readout().querySelector('.head'));
const rows = () => [...readout().querySelectorAll('tr')].map(plain).filter(Boolean);
const legend = () => plain(root.querySelector('figcaption'));
const note = () => plain(root.querySelector('.note'));
const gridSaid = () => plain(root.querySelector('.side .said, .across .said') ?? document.createElement('p'));
const bar = () => root.querySelector('[aria-label="how weights are read"]')!;
const token = (i: number) => root.querySelector<HTMLElement>(`.text [data-i="${i}"]`)!;
const settled = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
async function press(keys: string) {
  map().focus();
  await userEvent.keyboard(keys);
  figure.hover = {};
  await settled();
}
/** Cells that are drawn, by the pixel in the middle of each; "" where nothing is. */
function cell(query: number, key: number, count = N): number[] | '' {
  const canvas = map().querySelector('canvas')!;
  const [x, y] = [((key + 0.48) * canvas.width) / count, ((query + 0.48) * canvas.height) / count];
  const [r, g, b, a] = canvas.getContext('2d')!.getImageData(x, y, 1, 1).data;
  return a ? [r, g, b] : '';
}
const color = (value: number, ramp: 'ink' | 'signed' = 'ink') => [...colorAt(lut(figure.host, ramp), value)];

test('one key weighs attention with what keys carry: numbers, scale and words follow', async () => {
  await show({
    weigh: [
      factor('value norm', { values: { $array: 'norms' } }),
      factor('A − B', { values: { $array: 'along' }, signed: true }),
    ],
  });
  await press('e');
  await vi.waitFor(() => expect(legend()).toBe('attention probability × ‖value norm‖, linear'));
  // The last query: 0.4, 0.1, 0.2, 0.1, 0.2 times 5, 1, 2, 0.5, 3.
  expect(said()).toBe('·and 4 reads from BOS 0 2.0000 rank 1 of 5');
  expect(rows()).toEqual(['BOS 0 2.0000', '·and 4 0.6000', '·Ma 2 0.4000', 'When 1 0.1000', 'ry 3 0.0500']);
  expect(plain(readout().querySelector('p'))).toBe('attention probability × ‖value norm‖');
  expect(gridSaid()).toBe('thumbnails: weights as they are, token by token, full = 1');
  // The end of the scale is the largest of the head: 1 × 5.
  expect(plain(root.querySelector('figure svg'))).toMatch(/5$/);
  expect(cell(4, 0)).toEqual(color(2 / 5));
  await press('e');
  await vi.waitFor(() => expect(legend()).toBe('attention probability × ‖A − B‖, linear'));
  expect(rows()[3]).toBe('When 1 −0.1000');
  expect(cell(4, 1)).toEqual(color(0.5 - 0.1 / 5 / 2, 'signed'));
  await press('e');
  await vi.waitFor(() => expect(legend()).toBe('attention probability, linear'));
  expect(rows()[0]).toBe('BOS 0 0.4000');
});

test('lines say what is compared with their limit', async () => {
  await show({ weigh: [factor('value norm', { values: { $array: 'norms' } })] });
  await press('el');
  const rule = () => plain(root.querySelector('.rule'));
  // From a twentieth of 5 on: the first key in all five rows, the second in rows 1 and 2, the third in 2 and 4, the last.
  await vi.waitFor(() => expect(rule()).toContain('10 lines: weight × ‖value norm‖ ≥ 0.25'));
});

test('several heads are weighed one by one before they are combined', async () => {
  await show({ weigh: [factor('value norm', { values: { $array: 'norms' } })] });
  figure.pick({ layers: [0, 0], heads: [0, 1] });
  await press('e');
  // Of query 4 and key 0: (0.4 × 5 + 0.2 × 10) / 2.
  await vi.waitFor(() => expect(said()).toContain('·and 4 reads from BOS 0 2.0000'));
  expect(legend()).toBe('mean of 2 heads, attention probability × ‖value norm‖, linear');
});

test('where there is nothing to weigh with the control says why, and the weights stay', async () => {
  await show({
    weigh: [
      factor('value norm', { reason: 'no layer has values' }),
      factor('other', { values: { $array: 'norms' }, missing: { 0: 'layer 0 has none' } }),
    ],
  });
  await press('e');
  await vi.waitFor(() => expect(plain(bar())).toContain('not × value norm: no layer has values'));
  await press('e');
  await vi.waitFor(() => expect(plain(bar())).toContain('not × other: layer 0 has none'));
  expect([legend(), rows()[0]]).toEqual(['attention probability, linear', 'BOS 0 0.4000']);
});

test('live, the kernel computes them when they are asked for, and no sooner', async () => {
  const answer = (name: string) =>
    name === 'weigh'
      ? { value: { signed: false, missing: {} }, arrays: [nd([...NORMS, ...NORMS], 2, N)] }
      : { value: {}, arrays: [nd([0.4, 0.1, 0.2, 0.1, 0.2], N)] };
  await show({ weigh: [factor('value norm', { asked: true })], live: true, answer });
  expect(asked).toEqual([]);
  await press('e');
  await vi.waitFor(() => expect(said()).toContain('BOS 0 2.0000'));
  await press('ee');
  expect(asked).toEqual([{ name: 'weigh', sheet: 0, which: 0 }]);
});

test('live, what is weighed of rounded numbers is asked from the kernel as it is read', async () => {
  const answer = (name: string) =>
    name === 'weigh'
      ? { value: { signed: false, missing: {} }, arrays: [nd([...NORMS, ...NORMS], 2, N)] }
      : { value: {}, arrays: [nd([2.0123, 0.1, 0.4, 0.05, 0.6], N)] };
  await show({ weigh: [factor('value norm', { asked: true })], live: true, precision: 'sqrt8', answer });
  await press('e');
  await vi.waitFor(() => expect(said()).toBe('·and 4 reads from BOS 0 2.0123 rank 1 of 5'));
  const line = asked.find(({ name }) => name === 'line')!;
  expect(line).toMatchObject({ direction: 'from', index: 4, heads: [0] });
  expect(note()).toContain('numbers exact');
});

test('hidden tokens: rows are shared out anew, and those with little left are removed', async () => {
  await show();
  await press('x');
  expect([note(), legend()]).toEqual([
    'dimmed: 1 special token · exact to 4 decimals',
    'attention probability, linear',
  ]);
  // Dimmed: the true colour in the middle, the plate around it, and the numbers as they are.
  expect(cell(4, 0)).toEqual(color(0.4));
  expect(token(0)).toHaveClass('out');
  expect(rows()[0]).toBe('BOS 0 0.4000');
  await press('x');
  expect(legend()).toBe('attention probability, renormalised, linear');
  expect(note()).toBe(
    'renormalised without 1 special token · 2 rows with under 5 % left removed · exact to 4 decimals',
  );
  expect(rows()).toEqual(['·Ma 2 0.3333', '·and 4 0.3333', 'When 1 0.1667', 'ry 3 0.1667']);
  expect(said()).toContain('rank 1 of 4');
  expect([cell(4, 0), cell(2, 1)]).toEqual(['', color(0.6 / 0.9)]);
  figure.hover = { query: 3 };
  await settled();
  expect(said()).toBe('ry 3 reads from under 5 % of this row is left: removed');
  expect(rows()).toEqual([]);
  await userEvent.click(bar().querySelector('input[type="checkbox"]')!);
  figure.hover = {};
  await vi.waitFor(() => expect(rows()[0]).toBe('BOS 0 0.4000'));
});

test('padding is hidden where it reads, too', async () => {
  await show({ words: ['a', ' b', '<pad>', ' c', ' d'] });
  await press('xx');
  expect(note()).toContain('renormalised without first token, 1 token of padding');
  figure.hover = { query: 4 };
  await settled();
  // 0.1, 0.1, 0.2 of what is left.
  expect(rows()).toEqual(['·d 4 0.5000', '·b 1 0.2500', '·c 3 0.2500']);
  figure.hover = { query: 2 };
  await settled();
  expect(rows()).toEqual([]);
});

test('by word: sums over keys, means over queries; a click picks all tokens of a word', async () => {
  await show();
  await press('w');
  expect([...root.querySelectorAll('.said')].map(plain)).toContain('sum over keys, mean over queries of words');
  expect([...root.querySelectorAll('.text .token')].map((t) => t.textContent)).toEqual([
    '<s>',
    'When',
    ' Mary',
    ' and',
  ]);
  expect(rows()).toEqual(['BOS 0 0.4000', '·Mary 2 0.3000', '·and 3 0.2000', 'When 1 0.1000']);
  await userEvent.click(token(2));
  expect(written.at(-1)).toMatchObject({ queries: [2, 3], keys: [], positions: [2, 3] });
  figure.hover = {};
  await settled();
  // Means of rows 2 and 3: (0.1 + 0.97) / 2, (0.6 + 0.01) / 2, (0.3 + 0.01 + 0.01) / 2.
  expect(rows()).toEqual(['BOS 0 0.5350', 'When 1 0.3050', '·Mary 2 0.1600']);
  expect(cell(2, 1, 4)).toEqual(color(0.305));
  // Another view points at the second token of the word.
  figure.hover = { position: 3 };
  await settled();
  expect(said()).toContain('·Mary 2 reads from');
});

test('spans have their names, gaps are units; both go with weights and with what is hidden', async () => {
  await show({
    spans: { edges: [0, 1, 2, 4, 5], names: [null, 'start', 'who', null] },
    weigh: [factor('value norm', { values: { $array: 'norms' } })],
  });
  await press('ww');
  expect(rows()).toEqual(['BOS 0 0.4000', 'who 2 0.3000', '·and 3 0.2000', 'start 1 0.1000']);
  await press('xxe');
  await vi.waitFor(() => expect(legend()).toBe('attention probability × ‖value norm‖, renormalised, linear'));
  // (0.2 × 2 + 0.1 × 0.5) / 0.6, 0.2 × 3 / 0.6, 0.1 / 0.6.
  expect(rows()).toEqual(['·and 3 1.0000', 'who 2 0.7500', 'start 1 0.1667']);
  // Of "who" only its first query has something left.
  figure.hover = { query: 2 };
  await settled();
  expect(rows()).toEqual(['start 1 0.6667', 'who 2 0.6667']);
});

test('several tokens are read as one: means of queries, sums of keys', async () => {
  await show();
  await userEvent.click(token(2));
  await userEvent.keyboard('{Control>}');
  await userEvent.click(token(4));
  await userEvent.keyboard('{/Control}');
  await vi.waitFor(() => expect(said()).toBe('mean of 2 queries reads from When 1 0.3500 rank 1 of 5'));
  expect(written.at(-1)).toMatchObject({ queries: [2, 4], keys: [], positions: [2, 4] });
  expect(rows()).toEqual(['When 1 0.3500', 'BOS 0 0.2500', '·Ma 2 0.2500', '·and 4 0.1000', 'ry 3 0.0500']);
  expect(plain(root.querySelector('.directions'))).toContain('mean of 2 queries reads from');
  // Shift and an arrow, from the keyboard: a run of tokens.
  token(1).focus();
  await userEvent.keyboard('{ArrowRight}{Shift>}{ArrowRight}{/Shift}');
  await vi.waitFor(() => expect(written.at(-1)).toMatchObject({ positions: [2, 3] }));
  expect(rows()[0]).toBe('BOS 0 0.5350');
  await userEvent.keyboard('{Escape}t');
  figure.pick({ keys: [1, 2], queries: [], positions: [1, 2] });
  figure.hover = {};
  await vi.waitFor(() => expect(said()).toContain('sum of 2 keys is read by'));
  expect(rows()[0]).toBe('·Ma 2 0.9000');
  // Another token that is pointed at is read by itself.
  figure.hover = { position: 4 };
  await settled();
  expect(said()).toContain('·and 4 is read by ·and 4 0.2000');
});

test('the end of the scale is set in the picture, which says what lies beyond', async () => {
  await show();
  const field = bar().querySelector<HTMLInputElement>('[aria-label="end of the scale"]')!;
  await userEvent.fill(field, '0.5');
  await userEvent.keyboard('{Enter}');
  await vi.waitFor(() => expect(plain(root.querySelector('figure svg'))).toMatch(/0\.5$/));
  expect(cell(2, 2)).toEqual(color(0.3 / 0.5));
  expect(note()).toContain('4 drawn cells beyond 0.5');
  expect(gridSaid()).toBe('thumbnails, full = 1'); // theirs is another scale than that of the bar
  expect(root.querySelector('figure path')).not.toBeNull();
  await userEvent.fill(field, '');
  await userEvent.keyboard('{Enter}');
  await vi.waitFor(() => expect(cell(2, 2)).toEqual(color(0.3)));
  expect(gridSaid()).toBe('');
});

test('more units than a page can hold are not merged, and it says so', async () => {
  // Five words; the limit is asked of the class.
  const { MOST_UNITS } = await import('../src/pattern/merged');
  expect(MOST_UNITS).toBe(4096);
  expect(general(MOST_UNITS)).toBe('4,096');
});

test('the controls can be reached and have names', async () => {
  await show({ weigh: [factor('value norm', { values: { $array: 'norms' } })] });
  await press('xw');
  const { violations } = await axe.run(root.host as HTMLElement, { runOnly: ['wcag2a', 'wcag2aa'] });
  expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([]);
});

const OPENED = {
  ...{ weigh_by: '', left: 'shown', kinds: ['first', 'special', 'padding', 'sink'], merge: 'tokens' },
  ...{ pooling: 'max', curve: null, scale_to: null },
};
/** `view.update(…)` of how it opens. */
function reopen(reading: object) {
  const { kind, props } = json.views['0'];
  return figure.update({ ...json, views: { '0': { kind, props: { ...props, reading } } } });
}

test('a view opens as its author has it; an update changes what is another then, and leaves the rest to the reader', async () => {
  const first = { ...OPENED, left: 'hidden', kinds: ['special'], curve: 'log', scale_to: 0.5 };
  await show({ reading: first });
  expect(legend()).toBe('attention probability, renormalised, log');
  expect(note()).toContain('renormalised without 1 special token');
  expect(root.querySelector<HTMLInputElement>('.end')!.value).toBe('0.5');
  await press('w'); // the reader
  await press('s');
  expect(legend()).toBe('attention probability, renormalised, share of the row’s maximum');
  expect(rows()[0]).toMatch(/^·Mary 2 0.5000/); // (0.2 + 0.1) / 0.6
  await reopen({ ...first, left: 'shown', kinds: OPENED.kinds });
  await vi.waitFor(() => expect(note()).not.toContain('renormalised'));
  expect(root.querySelector<HTMLSelectElement>('[aria-label="read by"]')!.value).toBe('words');
  expect(legend()).toContain('share of the row’s maximum');
  await reopen({ ...OPENED, curve: 'sqrt', merge: 'tokens' });
  await vi.waitFor(() => expect(legend()).toBe('attention probability, √'));
  expect(root.querySelector<HTMLSelectElement>('[aria-label="read by"]')!.value).toBe('words');
  expect(root.querySelector<HTMLInputElement>('.end')!.value).toBe('1');
});
