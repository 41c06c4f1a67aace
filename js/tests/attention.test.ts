/** The attention view in a real browser: what it draws, says, picks and asks. */
import axe from 'axe-core';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { page, userEvent } from 'vitest/browser';
import { Superseded, type Backend } from '../src/backend';
import { colorAt, lut } from '../src/color';
import type { Figure, FigureJson } from '../src/figure.svelte';
import '../src/labviews';
import { mountFigure } from '../src/mount';
import { fixed } from '../src/number';
import type { Selection } from '../src/selection';
import type { Header, NdArray, Precision } from '../src/wire';
import { random } from './random';

let abort: AbortController;
let root: ShadowRoot;
let figure: Figure;
let written: Selection[];
let asked: Record<string, unknown>[];
let loaded: string[];

beforeEach(async () => {
  await page.viewport(956, 900);
  await userEvent.hover(document.documentElement, { position: { x: 950, y: 890 } });
});
afterEach(() => {
  abort.abort();
  document.body.replaceChildren();
  document.body.removeAttribute('style');
});

interface Options {
  /** Row by row, one list a head. */
  heads: number[][];
  words: string[];
  keyWords?: string[];
  layers?: number;
  causal?: boolean;
  precision?: Precision;
  lazy?: boolean;
  absent?: boolean;
  live?: boolean;
  /** What the kernel answers to "value". */
  answer?(args: { head: number; query?: number; key?: number }): number[];
  scale?: { ramp: string; limits: [number, number] };
  more?: Record<string, unknown>;
}

const tokensJson = (words: string[]) => ({
  text: words,
  label: words.map((w) => w.replace(/^ /, '·')),
  group: words.map((_, i) => i),
  special: words.map((w) => w === '<s>'),
  role: words.map((w) => (w === '<s>' ? 'BOS' : null)),
  ids: null,
  piece: words.map(() => ''),
});

/** Mount the view as a page or a widget does. Props are what mechviz/views/attention.py sends. */
async function show(options: Options): Promise<{ json: FigureJson; arrays: Record<string, NdArray> }> {
  const { heads, words, keyWords, layers = 1, causal = true, precision = 'exact', live = false } = options;
  const [queries, keys] = [words.length, (keyWords ?? words).length];
  const across = heads.length / layers;
  const arrays: Record<string, NdArray> = {
    thumbs: { data: Float32Array.from(heads.flat()), shape: [heads.length, queries, keys], precision: 'sqrt8' },
    scores: {
      // With the first token, and without it.
      data: Float64Array.from([0, 1].flatMap((k) => heads.flatMap((_, i) => [1.4 + i, 4.26, 0.2149 + k / 2, NaN]))),
      shape: [2, heads.length, 4],
      precision: 'exact',
    },
    peaks: {
      data: Float64Array.from(heads, (values) => values.reduce((a, b) => Math.max(a, b), 0)),
      shape: [heads.length],
      precision: 'exact',
    },
  };
  heads.forEach(
    (values, i) => (arrays[`h${i}`] = { data: Float64Array.from(values), shape: [queries, keys], precision }),
  );
  const header: Header = { dtype: 'float32', shape: [], encoding: 'raw', layout: 'dense', exact: true };
  const place = (i: number) => ({
    row: Math.floor(i / across),
    layer: Math.floor(i / across),
    column: i % across,
    head: i % across,
  });
  [written, asked, loaded] = [[], [], []];
  abort = new AbortController();
  const backend: Backend = {
    live,
    load: async (id) => {
      loaded.push(id);
      return arrays[id];
    },
    ask: async (view, name, args) => {
      asked.push({ view, name, ...(args as object) });
      if (!options.answer) throw new Superseded();
      const data = Float64Array.from(options.answer(args as { head: number }));
      return { value: null, arrays: [{ data, shape: [data.length], precision: 'exact' }] };
    },
    writeSelection: (selection) => written.push(selection),
  };
  const json = {
    layout: { kind: 'view', id: '0' } as const,
    views: {
      '0': {
        kind: 'attention',
        props: {
          frame: { title: 'Attention', provenance: ['toy', `${queries} tokens`], edits: [] },
          tokens: tokensJson(words),
          key_tokens: keyWords ? tokensJson(keyWords) : null,
          heads: heads.map((_, i) => ({
            ...place(i),
            name: `L${place(i).layer}H${place(i).head}`,
            values: { $array: `h${i}` },
            nan: 0,
            above: 0,
            below: 0,
          })),
          rows: Array.from({ length: layers }, (_, i) => `L${i}`),
          columns: Array.from({ length: across }, (_, i) => `H${i}`),
          thumbs: heads.length > 1 ? { $array: 'thumbs' } : null,
          thumb_step: 1,
          reasons: null,
          peaks: { $array: 'peaks' },
          scores: {
            names: ['entropy', 'distance', 'previous', 'first'],
            values: { $array: 'scores' },
            sampled: null,
          },
          roles: null,
          causal,
          probabilities: true,
          quantity: 'attention probability',
          scale: options.scale ?? { ramp: 'ink', limits: [0, 1] },
          row_total: null,
          open: 0,
          ...options.more,
        },
      },
    },
    arrays: Object.fromEntries(
      Object.keys(arrays).map((id) => [
        id,
        { ...header, lazy: options.lazy && /h[1-9]/.test(id), absent: options.absent && /h[1-9]/.test(id) },
      ]),
    ),
    selection: {},
  };
  const el = document.createElement('div');
  document.body.append(el);
  figure = await mountFigure(el, json, backend, abort.signal);
  root = el.querySelector('.mechviz')!.shadowRoot!;
  await vi.waitFor(() => expect(map()).not.toBeNull());
  return { json, arrays };
}

const map = () => root.querySelector<HTMLElement>('.map')!;
const grid = () => root.querySelector<HTMLElement>('.grid')!;
const readout = () => root.querySelector('section[aria-label="read-out"]')!;
const said = () => readout().querySelector('.head')!.textContent!.replace(/\s+/g, ' ').trim();
const rows = () => [...readout().querySelectorAll('tr')].map((row) => row.textContent!.replace(/\s+/g, ' ').trim());
const scores = () =>
  [...root.querySelectorAll('dl > div')].map((item) => item.textContent!.replace(/\s+/g, ' ').trim());
const note = () => root.querySelector('.note')!.textContent;
const token = (i: number, text = 0) =>
  root.querySelectorAll('.text')[text].querySelector<HTMLElement>(`[data-i="${i}"]`)!;
/** After the next frame, and after the 80 ms in which fills change. */
const settled = (wait = 0) => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, wait)));

/** Where a cell of the large map is drawn, from the canvas that holds it. */
function spot(query: number, key: number, queries: number, keys: number): { x: number; y: number } {
  const [outer, inner] = [map(), map().querySelector('canvas')!].map((element) => element.getBoundingClientRect());
  return {
    x: inner.left - outer.left + ((key + 0.45) * inner.width) / keys,
    y: inner.top - outer.top + ((query + 0.45) * inner.height) / queries,
  };
}
const hover = (query: number, key: number, n: number, keys = n) =>
  userEvent.hover(map(), { position: spot(query, key, n, keys) });
const click = (query: number, key: number, n: number, keys = n) =>
  userEvent.click(map(), { position: spot(query, key, n, keys) });

/** The pixel in the middle of a cell, and whether anything is drawn there. */
function pixel(query: number, key: number, queries: number, keys: number): number[] {
  const canvas = map().querySelector('canvas')!;
  const [x, y] = [((key + 0.45) * canvas.width) / keys, ((query + 0.45) * canvas.height) / queries];
  return [...canvas.getContext('2d')!.getImageData(x, y, 1, 1).data];
}

const WORDS = ['<s>', 'When', ' Mary', ' and'];
// Row by row; what is above the diagonal is never read.
const FIRST = [1, 0, 0, 0, 0.75, 0.25, 0, 0, 0.1, 0.7, 0.2, 0, 0.05, 0.6, 0.3, 0.05];
const SECOND = [1, 0, 0, 0, 0.5, 0.5, 0, 0, 0.2, 0.2, 0.6, 0, 0.25, 0.25, 0.25, 0.25];

test('cells have the colours of the scale; what is masked is not drawn', async () => {
  await show({ heads: [FIRST], words: WORDS });
  const table = lut(figure.host, 'ink');
  for (let q = 0; q < 4; q++) {
    for (let k = 0; k < 4; k++) {
      expect(pixel(q, k, 4, 4)).toEqual(k > q ? [0, 0, 0, 0] : [...colorAt(table, FIRST[4 * q + k]), 255]);
    }
  }
});

test('at rest the last token is read, by its largest weight', async () => {
  await show({ heads: [FIRST, SECOND], words: WORDS });
  expect(said()).toBe('·and 3 reads from When 1 0.6000 rank 1 of 4');
  expect(rows()).toEqual(['When 1 0.6000', '·Mary 2 0.3000', 'BOS 0 0.0500', '·and 3 0.0500', '', '']);
  expect(note()).toBe('exact to 4 decimals');
  expect(scores()).toEqual([
    'entropy 1.40 nats',
    'mean distance 4.3 tokens',
    'previous-token score 0.21',
    'sink mass –',
  ]);
  // No marker in the thumbnails until something is pointed at.
  expect(root.querySelector('.marked')).toBeNull();
});

test('hovering a cell gives query, key, weight and rank, recolours the text and frames the row in every thumbnail', async () => {
  await show({ heads: [FIRST, SECOND], words: WORDS });
  await hover(2, 0, 4);
  await vi.waitFor(() => expect(said()).toBe('·Mary 2 reads from BOS 0 0.1000 rank 3 of 3'));
  expect(figure.hover).toMatchObject({ query: 2, key: 0, position: 2, layer: 0, head: 0 });
  await settled(150);
  expect(getComputedStyle(token(1)).backgroundColor).toBe(`rgb(${colorAt(lut(figure.host, 'ink'), 0.7).join(', ')})`);
  expect(token(3)).toHaveClass('out'); // masked: neither read nor coloured
  expect(root.querySelector('.marked')!.getAttribute('width')).toBe(String(2 * 57)); // both thumbnails
  // The value is a tick on the bar: 0.1 of 150 px, less half of the tick's 2 px.
  expect(Number(root.querySelector('figure .value')!.getAttribute('x'))).toBeCloseTo(14);
  const before = root.querySelector('footer')!.getBoundingClientRect().top;
  await userEvent.unhover(map());
  await vi.waitFor(() => expect(figure.hover).toEqual({}));
  expect(root.querySelector('footer')!.getBoundingClientRect().top).toBe(before);
  expect(said()).toContain('·and 3');
});

test('every read-out equals the array', async () => {
  const next = random(11);
  const special = [0, 1, 1e-30, NaN, Infinity, -Infinity, 0.00005, 0.99995, -0.00004];
  const n = 6;
  const values = Array.from({ length: n * n }, () =>
    next() < 0.3 ? special[Math.floor(next() * special.length)] : next(),
  );
  await show({ heads: [values], words: Array.from({ length: n }, (_, i) => ` t${i}`), causal: false });
  for (let i = 0; i < n * n; i++) {
    const [query, key] = [Math.floor(i / n), i % n];
    figure.hover = { query, key };
    await settled();
    expect(said()).toContain(`·t${query} ${query} reads from ·t${key} ${key} ${fixed(values[i], 4)}`);
  }
});

test.each([
  ['float32', '0.1000 ± 0.0001', /float32: at most ± 6e-8 at 1/],
  ['float16', '0.1000 ± 0.0001', /float16: at most ± 0.0005 at 1/],
  ['sqrt8', '0.100 ± 0.002', /8-bit square root: at most ± 0.004 at 1/],
] as const)('in a file a number says the error of %s', async (precision, printed, foot) => {
  await show({ heads: [FIRST], words: WORDS, precision });
  figure.hover = { query: 2, key: 0 };
  await settled();
  expect(said()).toContain(printed);
  expect(note()).toMatch(foot);
});

test('live, the kernel is asked for the row and its numbers are exact', async () => {
  const exact = [0.098, 0.703, 0.199, 0];
  await show({ heads: [FIRST], words: WORDS, precision: 'sqrt8', live: true, answer: () => exact });
  figure.hover = { query: 2, key: 0 };
  await vi.waitFor(() => expect(said()).toBe('·Mary 2 reads from BOS 0 0.0980 rank 3 of 3'));
  expect(rows().slice(0, 3)).toEqual(['When 1 0.7030', '·Mary 2 0.1990', 'BOS 0 0.0980']);
  expect(asked.at(-1)).toEqual({ view: '0', name: 'value', head: 0, query: 2 });
  expect(note()).toBe('colours from 8-bit square root, numbers exact');
});

test('live, a row is asked for once, however many of its cells are read', async () => {
  await show({ heads: [FIRST], words: WORDS, precision: 'sqrt8', live: true, answer: () => [0.098, 0.703, 0.199, 0] });
  figure.hover = { query: 2, key: 0 };
  await vi.waitFor(() => expect(said()).toContain('0.0980'));
  const before = asked.length;
  for (const key of [1, 2, 0]) {
    figure.hover = { query: 2, key };
    await settled();
  }
  expect(said()).toContain('0.0980');
  expect(asked.length).toBe(before);
});

test('after an update no number of before is left', async () => {
  const answer = () => [0.098, 0.703, 0.199, 0];
  const { json, arrays } = await show({ heads: [FIRST], words: WORDS, precision: 'sqrt8', live: true, answer });
  figure.hover = { query: 2, key: 0 };
  await vi.waitFor(() => expect(said()).toContain('0.0980'));
  arrays.next = { data: Float64Array.from(FIRST, (p) => p / 2), shape: [4, 4], precision: 'exact' };
  const views = JSON.parse(JSON.stringify(json.views).replaceAll('"h0"', '"next"'));
  await figure.update({ ...json, views, arrays: { ...json.arrays, next: json.arrays.h0 } });
  await settled();
  expect(said()).toContain('0.0500 rank 3 of 3'); // half of FIRST's 0.1
});

/** Send the first head again as queries (logarithms of its weights), keys (one of each) and normalisers of 0. */
async function asFactors(weights: number[], { json, arrays }: Awaited<ReturnType<typeof show>>): Promise<void> {
  const n = Math.sqrt(weights.length);
  const nd = (values: number[], ...shape: number[]) => ({
    ...{ data: Float32Array.from(values), shape, precision: 'exact' as const },
  });
  const seen = (i: number) => i % n <= Math.floor(i / n);
  arrays.queries = nd(
    weights.map((p, i) => (seen(i) ? Math.log(p) : 0)),
    ...[n, n],
  );
  arrays.keys = nd(
    weights.map((_, i) => (i % (n + 1) === 0 ? 1 : 0)),
    ...[n, n],
  );
  arrays.normaliser = nd(Array<number>(n).fill(0), n);
  const { props } = json.views['0'];
  const values = {
    ...Object.fromEntries(['queries', 'keys', 'normaliser'].map((name) => [name, { $array: name }])),
    ...{ sink: null, mask: null, causal: true, window: null, offset: 0, softcap: null },
    ...{ error: 0.000312, precision: 'float16' },
  };
  const heads = (props.heads as object[]).map((head, i) => (i ? head : { ...head, values }));
  const lazy = { ...json.arrays.h0, lazy: true };
  await figure.update({
    ...json,
    views: { '0': { kind: 'attention', props: { ...props, heads } } },
    arrays: { ...json.arrays, queries: lazy, keys: lazy, normaliser: lazy },
  });
  await vi.waitFor(() => expect(note()).toContain('queries and keys'));
  await vi.waitFor(() => expect(pixel(n - 1, n - 1, n, n)[3]).toBe(255));
  expect(map().dataset.busy).toBeUndefined();
}

test('a head that travels as queries and keys is drawn and read as its weights are, and says its error', async () => {
  const weights = FIRST.map((p, i) => (i % 4 <= Math.floor(i / 4) ? Math.max(p, 1e-6) : 0));
  const shown = await show({ heads: [weights], words: WORDS });
  const cells = () => weights.flatMap((_, i) => [...pixel(Math.floor(i / 4), i % 4, 4, 4)]);
  const before = cells();
  await asFactors(weights, shown);
  expect(loaded).toEqual(expect.arrayContaining(['queries', 'keys', 'normaliser']));
  // A float32 of 0.25 may stand just below it, and have the neighbouring colour of 256.
  cells().forEach((channel, i) => expect(Math.abs(channel - before[i])).toBeLessThanOrEqual(2));
  figure.hover = { query: 2, key: 0 };
  await settled();
  expect(said()).toBe(`·Mary 2 reads from BOS 0 ${fixed(weights[8], 4)} ± 0.0004 rank 3 of 3`);
  // Rounded up: no weight is further off than what is said.
  expect(note()).toBe('float16 queries and keys: at most ± 0.00032');
  for (const mode of ['√', 'log', 'row', 'head']) {
    await userEvent.keyboard('s');
    await settled();
    expect(root.querySelector('.map canvas'), mode).not.toBeNull();
  }
});

test('live, factors colour the map and the kernel has the numbers', async () => {
  const answer = () => [0.098, 0.703, 0.199, 0];
  await asFactors(FIRST, await show({ heads: [FIRST], words: WORDS, live: true, answer }));
  figure.hover = { query: 2, key: 0 };
  await vi.waitFor(() => expect(said()).toBe('·Mary 2 reads from BOS 0 0.0980 rank 3 of 3'));
  expect(note()).toBe('colours from float16 queries and keys, numbers exact');
});

test('what went wrong with a question is said until one is answered', async () => {
  const answer = ({ query }: { query?: number }) => {
    if (query === 2) throw new Error('the kernel is gone');
    return [0.06, 0.6, 0.3, 0.04];
  };
  await show({ heads: [FIRST], words: WORDS, precision: 'sqrt8', live: true, answer });
  figure.hover = { query: 2, key: 0 };
  await vi.waitFor(() => expect(root.querySelector('[role=alert]')!.textContent).toMatch(/the kernel is gone\s+retry/));
  expect(said()).toContain('±');
  figure.hover = { query: 3, key: 0 };
  await vi.waitFor(() => expect(note()).toBe('colours from 8-bit square root, numbers exact'));
  expect(root.querySelector('[role=alert]')).toBeNull();
});

test('the same edit twice is two badges', async () => {
  await show({ heads: [FIRST], words: WORDS, more: { frame: { title: 'A', provenance: [], edits: ['x', 'x'] } } });
  expect(root.querySelectorAll('.edit').length).toBe(2);
});

test('live, a column is asked by its key and cut at the diagonal', async () => {
  const column = [0, 0.25, 0.7001, 0.6001];
  await show({ heads: [FIRST], words: WORDS, precision: 'float16', live: true, answer: () => column });
  await userEvent.click(root.querySelector('button[aria-pressed="false"]')!);
  figure.hover = { query: 3, key: 1 };
  await vi.waitFor(() => expect(said()).toBe('When 1 is read by ·and 3 0.6001 rank 2 of 3'));
  expect(asked.at(-1)).toEqual({ view: '0', name: 'value', head: 0, key: 1 });
});

test('without an answer the number keeps its error', async () => {
  await show({ heads: [FIRST], words: WORDS, precision: 'sqrt8', live: true });
  await settled();
  expect(said()).toContain('±');
});

test('a click locks a cell and writes the selection; the same click or Escape lets go', async () => {
  await show({ heads: [FIRST, SECOND, FIRST, SECOND], words: WORDS, layers: 2 });
  await click(3, 2, 4);
  expect(written.at(-1)).toMatchObject({ layers: [0], heads: [0], queries: [3], keys: [2], positions: [3] });
  await userEvent.unhover(map());
  await vi.waitFor(() => expect(said()).toContain('·and 3 reads from ·Mary 2 0.3000'));
  await hover(1, 0, 4);
  await vi.waitFor(() => expect(said()).toContain('When 1 reads from BOS 0 0.7500')); // a look elsewhere
  await click(3, 2, 4);
  expect(written.at(-1)).toMatchObject({ queries: [], keys: [], positions: [] });
  await click(3, 0, 4);
  await userEvent.keyboard('{Escape}');
  expect(written.at(-1)).toMatchObject({ queries: [], keys: [], positions: [] });
});

test('position 0 is picked like any other', async () => {
  await show({ heads: [FIRST], words: WORDS });
  await click(0, 0, 4);
  expect(written.at(-1)).toMatchObject({ queries: [0], keys: [0], positions: [0] });
  await userEvent.unhover(map());
  await vi.waitFor(() => expect(said()).toContain('BOS 0 reads from BOS 0 1.0000'));
});

test('arrow keys move the cell within the mask, Enter pins, Esc lets go', async () => {
  await show({ heads: [FIRST], words: WORDS });
  map().focus();
  const press = async (keys: string, cell: [number, number]) => {
    await userEvent.keyboard(keys);
    expect([figure.hover.query, figure.hover.key]).toEqual(cell);
  };
  await press('{ArrowLeft}', [3, 0]); // from the largest weight, (3, 1)
  await press('{ArrowLeft}', [3, 0]);
  await press('{End}', [3, 3]);
  await press('{ArrowUp}', [2, 2]);
  await press('{ArrowRight}', [2, 2]);
  await press('{Home}', [2, 0]);
  await press('{PageUp}', [0, 0]);
  await press('{ArrowDown}', [1, 0]);
  await userEvent.keyboard('{Enter}');
  expect(written.at(-1)).toMatchObject({ queries: [1], keys: [0] });
  await userEvent.keyboard('{Escape}');
  expect(written.at(-1)).toMatchObject({ queries: [], keys: [] });
  expect(getComputedStyle(map().querySelector('.focus')!).strokeWidth).toBe('2px');
});

test('heads are opened by click, by arrows in the grid and by brackets', async () => {
  await show({ heads: [FIRST, SECOND, SECOND, FIRST], words: WORDS, layers: 2 });
  const site = () => root.querySelector('.site')!.textContent;
  await userEvent.click(grid(), { position: { x: 26 + 57 + 10, y: 18 + 57 + 10 } });
  expect(site()).toBe('L1H1');
  expect(written.at(-1)).toMatchObject({ layers: [1], heads: [1] });
  grid().focus();
  await userEvent.keyboard('{ArrowUp}');
  expect(site()).toBe('L0H1');
  expect(grid().querySelector('[role=option]')!.textContent).toBe('L0H1');
  await userEvent.keyboard('{ArrowUp}{ArrowLeft}');
  expect(site()).toBe('L0H0');
  await userEvent.keyboard(']]');
  expect(site()).toBe('L1H0');
  await userEvent.keyboard('[['); // one bracket
  expect(site()).toBe('L0H1');
  await userEvent.keyboard('}');
  expect(site()).toBe('L1H1');
  await userEvent.keyboard('{{'); // one brace
  await vi.waitFor(() => expect(site()).toBe('L0H1'));
  figure.receive({ layers: [1], heads: [0] }); // from Python
  await vi.waitFor(() => expect(site()).toBe('L1H0'));
});

test('reads from, is read by: by button and by key, the token that is picked stays', async () => {
  await show({ heads: [FIRST], words: WORDS });
  await userEvent.click(token(1));
  expect(written.at(-1)).toMatchObject({ positions: [1], queries: [1], keys: [] });
  await userEvent.keyboard('t');
  expect(written.at(-1)).toMatchObject({ positions: [1], queries: [], keys: [1] });
  await userEvent.unhover(token(1));
  await vi.waitFor(() => expect(said()).toBe('When 1 is read by ·Mary 2 0.7000 rank 1 of 3'));
  expect(token(0)).toHaveClass('out'); // before the key: nobody there can read it
  expect(rows()[0]).toBe('·Mary 2 0.7000');
  await click(3, 1, 4);
  expect(written.at(-1)).toMatchObject({ queries: [3], keys: [1], positions: [1] });
});

test('a token hovered in another view of the figure shows its row here', async () => {
  await show({ heads: [FIRST, SECOND], words: WORDS });
  figure.hover = { position: 1 };
  await settled();
  expect(said()).toContain('When 1 reads from BOS 0 0.7500');
  expect(root.querySelector('.marked')).not.toBeNull();
  figure.hover = {};
  figure.receive({ positions: [2], queries: [2] });
  await settled();
  expect(said()).toContain('·Mary 2 reads from When 1 0.7000');
});

test('s goes through the scales; the bar names them', async () => {
  await show({ heads: [FIRST], words: WORDS });
  const bar = () => root.querySelector('figure')!.textContent!;
  const table = lut(figure.host, 'ink');
  map().focus();
  for (const [label, shade] of [
    ['attention probability, √', Math.sqrt(0.25)],
    ['attention probability, log', 1 + Math.log10(0.25) / 4],
    ['share of the row’s maximum', 0.25 / 0.75],
    ['attention probability, full = 1', 0.25],
    ['attention probability, linear', 0.25],
  ] as const) {
    await userEvent.keyboard('s');
    await vi.waitFor(() => expect(bar()).toContain(label));
    expect(pixel(1, 1, 4, 4).slice(0, 3)).toEqual([...colorAt(table, shade)]);
  }
});

test('NaN is hatched, padding dotted, what exceeds the limits has a bar', async () => {
  const values = [NaN, 0.2, 0, 0, 0.1, 0.9];
  await show({
    heads: [values],
    words: ['a', ' b', ' c'],
    keyWords: ['x', ' y'],
    causal: false,
    scale: { ramp: 'ink', limits: [0, 0.5] },
    more: {
      heads: [
        { row: 0, layer: 0, column: 0, head: 0, name: 'H0', values: { $array: 'h0' }, nan: 1, above: 1, below: 0 },
      ],
    },
  });
  const canvas = map().querySelector('canvas')!;
  const colors = (q: number, k: number) => {
    const [w, h] = [canvas.width / 2, canvas.height / 3];
    const data = canvas.getContext('2d')!.getImageData(k * w, q * h, w - 1, h - 1).data;
    return new Set(new Uint32Array(data.buffer));
  };
  expect([colors(0, 0).size, colors(0, 1).size, colors(1, 0).size]).toEqual([2, 1, 2]);
  expect(colors(2, 1).size).toBe(3); // the end's colour, the bar, the gap
  expect(note()).toBe('1 cell not a number · 1 cell above 0.5 · exact to 4 decimals');
});

test('signed weights: both arms, ranked by size', async () => {
  await show({
    heads: [[-2, 1, 0.5, -0.25]],
    words: ['a', ' b'],
    causal: false,
    scale: { ramp: 'signed', limits: [-2, 2] },
    more: { probabilities: false, scores: null, quantity: 'attention score' },
  });
  figure.hover = { query: 0, key: 0 };
  await settled();
  expect(said()).toContain('a 0 reads from a 0 −2.0000 rank 1 of 2');
  expect(rows().slice(0, 2)).toEqual(['a 0 −2.0000', '·b 1 1.0000']);
  expect(readout().querySelectorAll('.against')).toHaveLength(1);
  expect(root.querySelector('dl')).toBeNull();
});

test('other keys than queries: two texts, keys on top', async () => {
  await show({ heads: [[0.2, 0.8, 0.5, 0.5, 1, 0]], words: ['a', ' b', ' c'], keyWords: ['x', ' y'], causal: false });
  expect(said()).toBe('·c 2 reads from x 0 1.0000 rank 1 of 2');
  await userEvent.hover(token(0, 0));
  await vi.waitFor(() => expect(said()).toContain('a 0 reads from ·y 1 0.8000'));
  await settled(150);
  expect(getComputedStyle(token(1, 1)).backgroundColor).toBe(
    `rgb(${colorAt(lut(figure.host, 'ink'), 0.8).join(', ')})`,
  );
  await userEvent.click(token(0, 0));
  await userEvent.click(token(0, 1));
  expect(written.at(-1)).toMatchObject({ queries: [0], keys: [0] });
  await click(1, 1, 3, 2);
  expect(written.at(-1)).toMatchObject({ queries: [1], keys: [1], positions: [1] });
});

test('a head is fetched when it is opened, and drawn from its thumbnail until it is here', async () => {
  await show({ heads: [FIRST, SECOND], words: WORDS, lazy: true });
  expect(loaded).not.toContain('h1');
  map().focus();
  await userEvent.keyboard(']');
  await vi.waitFor(() => expect(said()).toContain('0.2500'));
  expect(loaded.filter((id) => id === 'h1')).toHaveLength(1);
});

test('a head that a frozen copy does not hold says so and still shows its thumbnail', async () => {
  await show({ heads: [FIRST, SECOND], words: WORDS, lazy: true, absent: true });
  map().focus();
  await userEvent.keyboard(']');
  await vi.waitFor(() => expect(note()).toBe('1 of 2 heads kept in this copy; use .save()'));
  expect(pixel(1, 0, 4, 4)).toEqual([...colorAt(lut(figure.host, 'ink'), 0.5), 255]);
});

test('long texts are pooled and say so; hovering leads to the weight that a cell shows', async () => {
  const n = 800;
  const values = new Array<number>(n * n).fill(0.001);
  values[700 * n + 123] = 1;
  await show({ heads: [values], words: Array.from({ length: n }, (_, i) => ` t${i}`) });
  const step = Number(/max of (\d+) × \d+ cells/.exec(map().textContent!)![1]);
  expect(step).toBeGreaterThan(1);
  const cells = Math.ceil(n / step);
  await hover(Math.floor(700 / step), Math.floor(123 / step), cells);
  await vi.waitFor(() => expect(said()).toContain('·t700 700 reads from ·t123 123 1.0000 rank 1 of 701'));
});

test('one token, and widths from narrow to wide', async () => {
  await show({ heads: [[1]], words: ['hi'] });
  expect(said()).toBe('hi 0 reads from hi 0 1.0000 rank 1 of 1');
  expect(grid()).toBeNull();
  for (const width of [400, 620, 956, 1456]) {
    await page.viewport(width, 900);
    await settled();
    expect(document.documentElement.scrollWidth).toBeLessThanOrEqual(width);
  }
});

test.each([420, 620, 956, 1456])('nothing is wider than a window of %i pixels', async (width) => {
  await page.viewport(width, 900);
  const n = 40;
  const next = random(1);
  const heads = Array.from({ length: 16 }, () => Array.from({ length: n * n }, () => next() / n));
  await show({ heads, words: Array.from({ length: n }, () => ' internationalization'), layers: 2 });
  await settled();
  expect(document.documentElement.scrollWidth).toBeLessThanOrEqual(width);
  const inside = root.querySelector('.figure')!.getBoundingClientRect();
  for (const label of root.querySelectorAll('.map text')) {
    const box = label.getBoundingClientRect();
    expect(box.right).toBeLessThanOrEqual(inside.right + 1);
  }
});

test('tokens and names are shown as text, never as markup', async () => {
  const hostile = [
    '</script><script>globalThis.broken=1</script>',
    '<img src=x onerror="globalThis.broken=1">',
    '"><svg onload=globalThis.broken=1>',
    '⟨U+D800⟩',
  ];
  await show({ heads: [FIRST, SECOND], words: hostile, more: { columns: ['<b>x</b>', '<i>'], quantity: '<u>q</u>' } });
  map().focus();
  await userEvent.keyboard('{ArrowUp}?');
  await settled();
  expect(root.querySelector('script, img, b, i, u, .map svg svg')).toBeNull();
  expect(token(1).textContent).toBe(hostile[1]);
  expect(root.querySelector('figure')!.textContent).toContain('<u>q</u>');
  expect((globalThis as { broken?: number }).broken).toBeUndefined();
});

test('the list of keys opens and closes; handled keys stay in the view', async () => {
  await show({ heads: [FIRST], words: WORDS });
  const outside = vi.fn();
  document.addEventListener('keydown', outside);
  map().focus();
  await userEvent.keyboard('?');
  expect(root.querySelector('[role=dialog]')!.textContent).toContain('reads from, or is read by');
  await userEvent.keyboard('{ArrowUp}s');
  await userEvent.click(root.querySelector('footer button')!);
  expect(root.querySelector('[role=dialog]')).toBeNull();
  expect(outside).not.toHaveBeenCalled();
  map().focus();
  await userEvent.keyboard('z');
  expect(outside).toHaveBeenCalledOnce();
  document.removeEventListener('keydown', outside);
});

test.each(['light', 'dark'] as const)('in %s: no axe violation, zero is the plate', async (theme) => {
  document.body.style.background = theme === 'dark' ? '#111418' : '#ffffff';
  await show({ heads: [FIRST, SECOND], words: WORDS });
  expect(figure.theme).toBe(theme);
  figure.hover = { query: 2, key: 1 };
  await settled(150);
  const { violations } = await axe.run(root.host, { rules: { region: { enabled: false } } });
  expect(violations.map((v) => `${v.id}: ${v.nodes.map((node) => node.html).join(' ')}`)).toEqual([]);
});

test('what is said aloud follows the focus', async () => {
  await show({ heads: [FIRST], words: WORDS });
  map().focus();
  await userEvent.keyboard('{ArrowLeft}');
  const live = root.querySelector('[aria-live=polite]')!;
  await vi.waitFor(() =>
    expect(live.textContent).toBe(
      "'and' at 3 reads BOS at 0 0.0500, rank 3 of 4. Largest: 'When' at 1 0.6000, then 'Mary' at 2 0.3000, then BOS at 0 0.0500; rest 0.0500",
    ),
  );
  expect(map().ariaLabel).toBe('attention of L0H0, 4 queries by 4 keys');
});

test('plain keys are kept from JupyterLab, which listens before the view does; chords are not', async () => {
  await show({ heads: [FIRST], words: WORDS });
  const kept: [string, boolean][] = [];
  const lab = (event: KeyboardEvent) =>
    kept.push([event.key, (event.target as Element).hasAttribute('data-lm-suppress-shortcuts')]);
  document.addEventListener('keydown', lab, { capture: true });
  map().focus();
  await userEvent.keyboard('d{Control>}s{/Control}');
  document.removeEventListener('keydown', lab, { capture: true });
  expect(kept).toEqual([
    ['d', true],
    ['Control', false],
    ['s', false],
  ]);
});

// --- several heads, scores and ranks

const site = () => root.querySelector('.site')!.textContent;
const inGrid = (column: number, row: number) => ({ x: 26 + 57 * column + 10, y: 18 + 57 * row + 10 });

test('Shift- and Ctrl-click open several heads as one: mean, maximum, sum, which the kernel computes too', async () => {
  const answer = () => [0.15, 0.4, 0.45, 0];
  await show({
    heads: [FIRST, SECOND, SECOND, FIRST],
    words: WORDS,
    layers: 2,
    precision: 'sqrt8',
    live: true,
    answer,
  });
  await userEvent.click(grid(), { position: inGrid(1, 1), modifiers: ['Shift'] });
  expect(site()).toBe('mean of L0H0, L1H1');
  expect(written.at(-1)).toMatchObject({ layers: [0, 1], heads: [0, 1] });
  expect(root.querySelectorAll('.grid .open')).toHaveLength(2);
  await userEvent.click(grid(), { position: inGrid(0, 1), modifiers: ['Control'] });
  expect(site()).toBe('mean of L0H0, L1H1, L1H0');
  figure.hover = { query: 2, key: 1 };
  // Of FIRST, FIRST and SECOND: (0.7 + 0.7 + 0.2) / 3, until the kernel has answered.
  await vi.waitFor(() =>
    expect(asked.at(-1)).toEqual({ view: '0', name: 'value', heads: [0, 3, 2], combine: 'mean', query: 2 }),
  );
  await vi.waitFor(() => expect(said()).toContain('reads from When 1 0.4000 rank 2 of 3'));
  map().focus();
  await userEvent.keyboard('c');
  expect(site()).toBe('maximum of L0H0, L1H1, L1H0');
  await vi.waitFor(() => expect(asked.at(-1)).toMatchObject({ combine: 'max' }));
  await userEvent.keyboard('c');
  expect(site()).toBe('sum of L0H0, L1H1, L1H0');
  expect(root.querySelector('figure')!.getAttribute('aria-label')).toBe(
    'sum of 3 heads, attention probability, linear, from 0 to 3',
  );
  // The same head once more: let go.
  await userEvent.click(grid(), { position: inGrid(0, 1), modifiers: ['Shift'] });
  expect(written.at(-1)).toMatchObject({ layers: [0, 1], heads: [0, 1] });
});

test('the mean of heads is drawn and read', async () => {
  await show({ heads: [FIRST, SECOND], words: WORDS });
  figure.receive({ layers: [0, 0], heads: [0, 1] }); // from Python
  figure.hover = { query: 3, key: 2 };
  await vi.waitFor(() => expect(said()).toBe('·and 3 reads from ·Mary 2 0.2750 rank 2 of 4')); // (0.3 + 0.25) / 2
  expect(pixel(3, 2, 4, 4).slice(0, 3)).toEqual([...colorAt(lut(figure.host, 'ink'), 0.275)]);
  // Entropies of 1.4 and 2.4.
  expect(scores()[0]).toBe('entropy 1.90 nats');
});

test('keys pick several heads; a label stands for its row or column', async () => {
  await show({ heads: [FIRST, SECOND, SECOND, FIRST], words: WORDS, layers: 2 });
  grid().focus();
  await userEvent.keyboard('{Shift>}{ArrowRight}{/Shift}');
  expect(written.at(-1)).toMatchObject({ layers: [0, 0], heads: [0, 1] });
  await userEvent.keyboard('{Control>}{ArrowDown}{ArrowLeft}{/Control}');
  expect(written.at(-1)).toMatchObject({ layers: [0, 0], heads: [0, 1] });
  expect(grid().querySelector('[role=option]')).toHaveTextContent('L1H0');
  expect(grid().querySelector('[role=option]')!.ariaSelected).toBe('false');
  await userEvent.keyboard(' ');
  expect(written.at(-1)).toMatchObject({ layers: [0, 0, 1], heads: [0, 1, 0] });
  await userEvent.keyboard('{ArrowRight}');
  expect(written.at(-1)).toMatchObject({ layers: [1], heads: [1] });
  await userEvent.click(grid(), { position: { x: 8, y: 18 + 57 + 10 } });
  expect(written.at(-1)).toMatchObject({ layers: [1, 1], heads: [0, 1] });
  await userEvent.click(grid(), { position: { x: 26 + 57 + 20, y: 8 } });
  expect(written.at(-1)).toMatchObject({ layers: [0, 1], heads: [1, 1] });
});

test('heads are ranked and filtered by a score; brackets follow the rank', async () => {
  await show({ heads: [FIRST, SECOND, SECOND, FIRST], words: WORDS, layers: 2 });
  const names = () => [...grid().querySelectorAll('.name')].map((name) => name.textContent!.trim());
  await userEvent.selectOptions(root.querySelector('.bar select')!, 'entropy');
  // 1.4, 2.4, 3.4 and 4.4 nats
  await vi.waitFor(() => expect(names()).toEqual(['L1H1', 'L1H0', 'L0H1', 'L0H0']));
  expect(grid().textContent).toContain('4.40 nats');
  map().focus();
  await userEvent.keyboard('[['); // one bracket
  expect(site()).toBe('L0H1');
  await userEvent.click(root.querySelector('.bar input')!);
  await userEvent.keyboard('2.5'); // a point is no other text there
  await vi.waitFor(() => expect(names()).toEqual(['L1H1', 'L1H0']));
  expect(root.querySelector('.bar')!.textContent).toContain('2 of 4');
  const turn = () => userEvent.click(root.querySelector('.bar button')!);
  await turn();
  await vi.waitFor(() => expect(names()).toEqual(['L0H0', 'L0H1']));
  await turn();
  await vi.waitFor(() => expect(grid().textContent).toContain('H1')); // in place, the others left out
  await userEvent.click(grid(), { position: inGrid(0, 0) });
  expect(site()).toBe('L0H1'); // not shown, not opened
  await userEvent.click(grid(), { position: inGrid(1, 1) });
  expect(site()).toBe('L1H1');
});

test('scores without the first token, and over several texts with their spread', async () => {
  const over = (scores: number[]) => ({
    data: Float64Array.from([...scores, ...scores]),
    shape: [2, 1, 1],
    precision: 'exact',
  });
  const { json, arrays } = await show({ heads: [FIRST, SECOND], words: WORDS });
  const button = (name: string) => [...root.querySelectorAll('button')].find((b) => b.textContent!.trim() === name)!;
  await userEvent.click(button('without first token'));
  expect(scores()).toEqual(['entropy 1.40 nats', 'mean distance 4.3 tokens', 'previous-token score 0.71']);
  Object.assign(arrays, { mean: over([1.25, 1]), spread: over([0.125, 0]) });
  for (const name of ['mean', 'spread']) arrays[name].shape = [2, 2, 1];
  const { props } = json.views['0'];
  const values = { mean: { $array: 'mean' }, spread: { $array: 'spread' }, count: 5 };
  const more = { scores: { names: ['entropy'], values: { $array: 'scores' }, sampled: [256, 9000] }, over: values };
  await figure.update({
    ...json,
    views: { '0': { kind: 'attention', props: { ...props, ...more } } },
    arrays: { ...json.arrays, mean: json.arrays.h0, spread: json.arrays.h0 },
  });
  await vi.waitFor(() => expect(scores()).toEqual(['entropy 1.25 ± 0.13 nats']));
  expect(root.textContent).toContain('mean over 256 of 9000 queries');
  await userEvent.click(button('over 5 texts'));
  await vi.waitFor(() => expect(scores()[0]).not.toContain('±'));
});

test('every head on its own scale prints its maximum', async () => {
  await show({ heads: [FIRST.map((p) => p / 2), SECOND], words: WORDS });
  map().focus();
  await userEvent.keyboard('ssss');
  await vi.waitFor(() =>
    expect(root.querySelector('figcaption')!.textContent).toBe('attention probability, full = 0.5'),
  );
  expect([...grid().querySelectorAll('text')].map((text) => text.textContent!.trim())).toEqual(
    expect.arrayContaining(['max 0.5', 'max 1']),
  );
  // Half of FIRST's 1 is the full colour, in the map and in the thumbnail.
  const table = lut(figure.host, 'ink');
  expect(pixel(0, 0, 4, 4).slice(0, 3)).toEqual([...colorAt(table, 1)]);
  const thumb = grid().querySelector('canvas')!.getContext('2d')!;
  const ratio = devicePixelRatio;
  expect([...thumb.getImageData((26 + 2) * ratio, (18 + 2) * ratio, 1, 1).data].slice(0, 3)).toEqual([
    ...colorAt(table, 1),
  ]);
});

test('key heads, windows and layers without a softmax are named where they are', async () => {
  await show({ heads: [FIRST, SECOND, FIRST, SECOND], words: WORDS, layers: 2 });
  const { json } = await show({
    heads: [FIRST, SECOND, FIRST, SECOND],
    words: WORDS,
    layers: 2,
    more: {
      rows: ['L0', 'L1–4', 'L5'],
      reasons: [null, 'a Mamba mixer has no softmax', null],
      heads: [0, 1, 2, 3].map((i) => ({
        ...{
          row: 2 * (i >> 1),
          layer: 5 * (i >> 1),
          column: i & 1,
          head: i & 1,
          name: `L${5 * (i >> 1)}H${i & 1}`,
          kv: 0,
        },
        ...{ window: i > 1 ? 2 : undefined, values: { $array: `h${i}` }, nan: 0, above: 0, below: 0 },
      })),
    },
  });
  void json;
  expect(site()).toBe('L0H0 · kv 0');
  expect(grid().textContent).toContain('kv 0');
  expect(grid().querySelectorAll('.bracket')).toHaveLength(1);
  expect(grid().querySelector('.reason')!.textContent).toBe('a Mamba mixer has no softmax');
  grid().focus();
  await userEvent.keyboard('{ArrowDown}'); // over the row without heads
  expect(site()).toBe('L5H0 · kv 0 · window 2');
  await settled();
  // Query 3 sees keys 2 and 3.
  expect([0, 1, 2, 3].map((key) => pixel(3, key, 4, 4)[3])).toEqual([0, 0, 255, 255]);
});

test('heads as points by two scores, one with the grid', async () => {
  await show({ heads: [FIRST, SECOND, SECOND, FIRST], words: WORDS, layers: 2 });
  await userEvent.click([...root.querySelectorAll('button')].find((b) => b.textContent!.trim() === 'scatter')!);
  const finder = () => root.querySelector<HTMLElement>('.finder [role=application]')!;
  await vi.waitFor(() => expect(finder()).not.toBeNull());
  // There is no induction score here: the first there is goes up.
  expect(finder().ariaLabel).toBe('heads by previous-token score and entropy');
  await userEvent.selectOptions(root.querySelectorAll<HTMLSelectElement>('.finder select')[1], 'distance');
  await vi.waitFor(() => expect(finder().ariaLabel).toBe('heads by mean distance and entropy'));
  finder().focus();
  await userEvent.keyboard('{Home}');
  await vi.waitFor(() =>
    expect(root.querySelector('.finder p')!.textContent).toMatch(/L0H0\s+mean distance 4.3 tokens · entropy 1.40 nats/),
  );
  await userEvent.keyboard('{ArrowUp}');
  expect(figure.hover).toEqual({ layer: 0, head: 1 });
  expect(grid().querySelector('.hovered')).not.toBeNull();
  await userEvent.keyboard('{Enter}');
  expect(site()).toBe('L0H1');
});

test('roles: what a head reads from one to another, in the scores and by a click in the map', async () => {
  const { json, arrays } = await show({ heads: [FIRST, SECOND], words: WORDS });
  const nd = (values: number[]) => ({ data: Float64Array.from(values), shape: [2, 2, 2], precision: 'exact' as const });
  arrays.mean = nd([0.05, 0.6, NaN, 0.25, 0.25, 0.5, NaN, 0.5]);
  const { props } = json.views['0'];
  const roles = { names: ['END', 'IO'], positions: [[3, 1]], mean: { $array: 'mean' }, spread: null, counts: null };
  await figure.update({
    ...json,
    views: { '0': { kind: 'attention', props: { ...props, roles, role_weights: { $array: 'mean' } } } },
    arrays: { ...json.arrays, mean: json.arrays.h0 },
  });
  await vi.waitFor(() => expect(scores()).toContain('END → IO 0.60'));
  expect(scores().filter((text) => text.includes('→'))).toHaveLength(1);
  const roleNames = [...root.querySelectorAll('dl + p > span')].map((role) =>
    role.textContent!.replace(/\s+/g, ' ').trim(),
  );
  expect(roleNames).toEqual(['END ·and 3', 'IO When 1']);
  await userEvent.selectOptions(root.querySelector('.bar select')!, 'END → IO');
  await vi.waitFor(() => expect(grid().querySelector('.name')!.textContent!.trim()).toBe('L0H0'));
  await userEvent.click([...root.querySelectorAll('dt button')].at(-1)!);
  expect(written.at(-1)).toMatchObject({ queries: [3], keys: [1], positions: [3] });
});

test('thousands of thumbnails are painted in slices, all of them', async () => {
  const [layers, across] = [48, 64];
  const heads = Array.from({ length: layers * across }, (_, i) => [
    1,
    0,
    i / (layers * across),
    1 - i / (layers * across),
  ]);
  await show({ heads, words: ['a', ' b'], layers });
  await vi.waitFor(() => expect(grid().dataset.busy).toBeUndefined());
  const canvas = grid().querySelector('canvas')!;
  const context = canvas.getContext('2d')!;
  const pitch = Math.floor((canvas.clientWidth + 1 - 21) / across);
  const ratio = devicePixelRatio;
  for (const [row, column] of [
    [0, 0],
    [23, 31],
    [47, 63],
  ]) {
    const [x, y] = [21 + column * pitch + 2, 18 + row * pitch + pitch - 3];
    const share = (row * across + column) / (layers * across);
    expect([...context.getImageData(x * ratio, y * ratio, 1, 1).data].slice(0, 3)).toEqual([
      ...colorAt(lut(figure.host, 'ink'), share),
    ]);
  }
});

test('heads by rank scroll, and only what is in sight is painted', async () => {
  const [layers, across] = [20, 10];
  const count = layers * across;
  // The share that query 1 reads of key 0 is the index of the head: so is its entropy, 1.4 + i.
  const heads = Array.from({ length: count }, (_, i) => [1, 0, i / count, 1 - i / count]);
  await show({ heads, words: ['a', ' b'], layers });
  await userEvent.selectOptions(root.querySelector('.bar select')!, 'entropy');
  await vi.waitFor(() => expect(grid().querySelectorAll('.name').length).toBeGreaterThan(10));
  expect(grid().clientHeight).toBeLessThan(520);
  expect(grid().querySelectorAll('.name').length).toBeLessThan(60);
  const ratio = devicePixelRatio;
  const color = (y: number) => {
    const canvas = grid().querySelector('canvas')!;
    return [...canvas.getContext('2d')!.getImageData(8 * ratio, y * ratio, 1, 1).data].slice(0, 3);
  };
  const table = lut(figure.host, 'ink');
  expect(color(3 + 45)).toEqual([...colorAt(table, (count - 1) / count)]);
  grid().focus();
  await userEvent.keyboard('{Control>}{ArrowDown>30/}{/Control}'); // to the end
  await vi.waitFor(() => expect(grid().scrollTop).toBeGreaterThan(1000));
  await settled(50);
  const last = [...grid().querySelectorAll('.name')].at(-1)!.getBoundingClientRect();
  expect(last.bottom).toBeLessThan(grid().getBoundingClientRect().bottom + 20);
  // Of a row that is cut off, what is in sight: of the query 0 of its heads, which reads itself.
  grid().scrollTop = 20;
  await vi.waitFor(() => expect(color(1)).toEqual([...colorAt(table, 1)]));
});
