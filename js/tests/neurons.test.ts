import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { page, userEvent } from 'vitest/browser';
import type { Backend } from '../src/backend';
import type { Figure } from '../src/figure.svelte';
import '../src/labviews';
import { mountFigure } from '../src/mount';
import { bars, correlation, ordered, statisticsOf, unitName, unitOf } from '../src/parts/units';
import type { Selection } from '../src/selection';
import type { Header, NdArray } from '../src/wire';

let abort: AbortController;
let root: ShadowRoot;
let figure: Figure;
let written: Selection[];
let asked: { name: string; args: Record<string, unknown> }[];

beforeEach(async () => {
  await page.viewport(1000, 900);
  await userEvent.hover(document.documentElement, { position: { x: 990, y: 890 } });
});
afterEach(() => {
  abort?.abort();
  document.body.replaceChildren();
});

const f32 = (...rows: number[][]): NdArray => ({
  data: Float32Array.from(rows.flat()),
  shape: [rows.length, rows[0].length],
  precision: 'exact',
});
const i32 = (...rows: number[][]): NdArray => ({ ...f32(...rows), data: Int32Array.from(rows.flat()) });
const flat = (array: NdArray): NdArray => ({ ...array, shape: [array.data.length] });
const settled = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));

/** Two layers of three positions: [unit, position] of each. The numbers are those of tests/test_neurons.py. */
const COLUMNS = [
  [
    [0, 4, 0],
    [1, 2, 3],
    [0, 0, 0],
    [-2, -4, -6],
  ],
  [
    [9, 0, 0],
    [0, 8, 0],
    [0, 0, 7],
    [1, 1, 1],
  ],
];
const WORDS = ['The', ' cat', ' sat'];
const KEPT = [
  [3, 0, 1, 2],
  [0, 1, 2, 3],
];

async function mount(
  more: Record<string, unknown> = {},
  { live = false, kept = KEPT, gated = false, given = COLUMNS } = {},
) {
  written = [];
  asked = [];
  abort = new AbortController();
  const arrays: Record<string, NdArray> = { positions: flat(i32([0, 1, 2])) };
  const layers = given.map((columns, i) => {
    const top = WORDS.map((_, p) => [0, 1, 2, 3].sort((a, b) => Math.abs(columns[b][p]) - Math.abs(columns[a][p])));
    if (kept[i].length) {
      arrays[`ids${i}`] = flat(i32(kept[i]));
      arrays[`values${i}`] = f32(...kept[i].map((id) => columns[id]));
      arrays[`gate${i}`] = f32(...kept[i].map((id) => columns[id].map((v) => v + 10)));
    }
    arrays[`facts${i}`] = flat(f32([...(i ? [-9, 9] : [-6, 6]), 0, 0, 0]));
    arrays[`top${i}`] = i32(...top);
    arrays[`values_of_top${i}`] = f32(...top.map((ids, p) => ids.map((id) => columns[id][p])));
    const of = (name: string) => ({ $array: `${name}${i}` });
    const shares = gated ? { gate: of('gate'), up: of('gate') } : {};
    return {
      number: [4, 7][i],
      parts: kept[i].length ? [{ ids: of('ids'), values: of('values'), ...shares }] : [],
      facts: of('facts'),
      top: of('top'),
      top_values: of('values_of_top'),
    };
  });
  const backend: Backend = {
    live,
    load: async (id) => arrays[id],
    writeSelection: (selection) => written.push(selection),
    ask: async (_view, name, args) => {
      asked.push({ name, args: args as Record<string, unknown> });
      const { layer, ids, start } = args as { layer: number; ids?: number[]; start?: number };
      const found = ids ?? [2, 1];
      return {
        value: { start: start ?? 2 },
        arrays: [flat(i32(found)), f32(...found.map((id) => COLUMNS[layer][id]))],
      };
    },
  };
  const header = (id: string): Header => ({
    dtype: 'float32',
    shape: arrays[id].shape,
    encoding: 'raw',
    layout: 'dense',
    exact: true,
    lazy: id.endsWith('1'),
  });
  const tokens = {
    text: WORDS,
    label: ['The', '·cat', '·sat'],
    group: [0, 1, 2],
    special: [false, false, false],
    role: [null, null, null],
    ids: null,
    piece: ['', '', ''],
  };
  const props = {
    frame: { title: 'Neurons', provenance: [], edits: [] },
    tokens,
    rows: {
      noun: 'position',
      axes: { positions: { $array: 'positions' } },
      labels: tokens.label,
      count: 3,
      mono: true,
      title: 'position',
    },
    layers,
    open: 0,
    units: 4,
    count: 4,
    order: 'max',
    whole: true,
    only: false,
    axis: 'neurons',
    letter: 'N',
    kind: 'neurons',
    names: null,
    missing: '',
    quantity: { name: 'activation', unit: '' },
    ramp: 'signed',
    ...more,
  };
  const json = {
    layout: { kind: 'view', id: '0' } as const,
    views: { '0': { kind: 'neurons', props } },
    arrays: Object.fromEntries(Object.keys(arrays).map((id) => [id, header(id)])),
    selection: {},
  };
  const el = document.createElement('div');
  document.body.append(el);
  figure = await mountFigure(el, json, backend, abort.signal);
  root = el.querySelector('.mechviz')!.shadowRoot!;
  await settled();
}

const map = () => root.querySelector<HTMLElement>('[role=application]')!;
const readout = () => root.querySelector('.readout')!.textContent!.replace(/\s+/g, ' ').trim();
const listed = () => [...root.querySelectorAll('table tr')].map((row) => row.textContent!.replace(/\s+/g, ' ').trim());
const button = (name: string | RegExp) =>
  [...root.querySelectorAll('button')].find((b) => b.textContent!.replace(/\s+/g, ' ').trim().match(name))!;
const names = () =>
  [...map().querySelectorAll<SVGElement>('svg text.label:not(.mono)')]
    .filter((text) => text.checkVisibility({ visibilityProperty: true }))
    .map((text) => text.textContent);
const fill = (i: number) => root.querySelector<HTMLElement>(`[data-i="${i}"]`)!.style.backgroundColor;

/** Where the cell of a position and of a column of the map is. */
function cell(row: number, column: number) {
  const canvas = root.querySelector('canvas')!.getBoundingClientRect();
  const box = map().getBoundingClientRect();
  const [width, height] = [canvas.width / 4, canvas.height / 3];
  return { x: canvas.x - box.x + (column + 0.5) * width, y: canvas.y - box.y + (row + 0.5) * height };
}
const hover = async (row: number, column: number) => {
  await userEvent.hover(map(), { position: cell(row, column) });
  await settled();
};

test('the map has the neurons of the layer in order, and the text the colours of the first', async () => {
  await mount();
  expect(names()).toEqual(['N3', 'N0', 'N1', 'N2']);
  expect(readout()).toContain('L4N3 · −6 at ·sat 2 ·');
  expect(new Set([fill(0), fill(1), fill(2)]).size).toBe(3);
});

test('a neuron that is pointed at colours the text and reads its number', async () => {
  await mount({}, { gated: true });
  const before = fill(1);
  await hover(1, 1);
  expect(readout()).toBe('L4N0 · position 1 ·cat · gate 14 · up 14 · act(gate) × up 4');
  expect(figure.hover).toEqual({ position: 1, neuron: 0, layer: 4 });
  expect(fill(1)).not.toBe(before);
  expect(fill(0)).toBe(fill(2)); // N0 is 0 at both
});

test('a token that is pointed at lists its strongest neurons', async () => {
  await mount();
  expect(listed()[0]).toBe('L4N3−6'); // of ·sat, where the first neuron is strongest
  await userEvent.hover(root.querySelector('[data-i="1"]')!);
  // once the pointer rests
  await vi.waitFor(() => expect(listed()).toEqual(['L4N04', 'L4N3−4', 'L4N12']));
});

test('orders: by a statistic, by the token, by likeness; a token that is picked moves the second', async () => {
  await mount();
  button(/^mean$/).click();
  await settled();
  expect(names()).toEqual(['N1', 'N0', 'N2', 'N3']);
  await userEvent.click(root.querySelector('[data-i="1"]')!);
  button(/^\|a\| at/).click();
  await settled();
  expect(root.textContent).toContain('by |activation| at ·cat 1'); // N3 has −4 there
  expect(names()).toEqual(['N0', 'N3', 'N1', 'N2']);
  await userEvent.click(root.querySelector('[data-i="2"]')!);
  await settled();
  expect(names()).toEqual(['N3', 'N1', 'N0', 'N2']);
  figure.pick({ layers: [4], neurons: [1], positions: [] });
  await settled();
  button(/^like N1$/).click();
  await settled();
  expect(names()).toEqual(['N1', 'N0', 'N3', 'N2']);
  expect(root.textContent).toContain('by correlation with L4N1');
  map().focus();
  await userEvent.keyboard('o'); // from there to the first of the orders
  await settled();
  expect(names()).toEqual(['N3', 'N0', 'N1', 'N2']);
});

test('a click picks neuron, layer and token; Shift-click and p add; each has a chart', async () => {
  await mount();
  await userEvent.click(map(), { position: cell(2, 0) });
  expect(written.at(-1)).toMatchObject({ neurons: [3], layers: [4], positions: [2] });
  await userEvent.click(map(), { position: cell(1, 1), modifiers: ['Shift'] });
  expect(written.at(-1)).toMatchObject({ neurons: [3, 0], layers: [4, 4], positions: [1] });
  await hover(0, 2);
  await userEvent.keyboard('p');
  await settled();
  expect(written.at(-1)).toMatchObject({ neurons: [3, 0, 1], layers: [4, 4, 4] });
  const charts = [...root.querySelectorAll('.unit p')].map((p) => p.textContent);
  expect(charts).toEqual(['L4N3−6 at ·sat', 'L4N04 at ·cat', 'L4N13 at ·sat']);
  // On paper, where there are no buttons, they keep their names.
  figure.paper = { width_mm: 174, ground: 'white' } as typeof figure.paper;
  await settled();
  expect([...root.querySelectorAll('.unit b')].map((b) => b.textContent)).toEqual(['L4N3', 'L4N0', 'L4N1']);
  figure.paper = undefined;
  await settled();
  await userEvent.keyboard('p{Escape}');
  expect(written.at(-1)).toMatchObject({ neurons: [], positions: [] });
});

test('another layer: its own scale, and what is pinned in the first stays', async () => {
  await mount();
  await userEvent.click(map(), { position: cell(2, 0) });
  await userEvent.keyboard(']');
  await settled();
  await settled();
  expect(button(/^L7$/).ariaPressed).toBe('true');
  expect(written.at(-1)).toMatchObject({ neurons: [3], layers: [4] });
  expect(root.querySelector('figure')!.getAttribute('aria-label')).toContain('from −9 to 9');
  await hover(0, 0);
  await userEvent.keyboard('p');
  expect(written.at(-1)).toMatchObject({ neurons: [3, 0], layers: [4, 7] });
  await settled();
  expect(root.querySelectorAll('.unit').length).toBe(2);
});

test('a layer or a neuron that is picked elsewhere is shown here', async () => {
  await mount();
  figure.receive({ layers: [7], neurons: [2] });
  await settled();
  await settled();
  expect(button(/^L7$/).ariaPressed).toBe('true');
  expect(readout()).toContain('L7N2 · 7 at ·sat');
});

test('a neuron that is typed is gone to; one that is none is marked', async () => {
  await mount();
  const input = root.querySelector('input')!;
  map().focus();
  await userEvent.keyboard('/');
  expect(root.activeElement).toBe(input);
  await userEvent.keyboard('L9N1{Enter}');
  expect(input.getAttribute('aria-invalid')).toBe('true');
  expect(readout()).toBe('no neuron L9N1: there are L4N0 … L7N3');
  await userEvent.keyboard('{Backspace}{Backspace}{Backspace}{Backspace}L7N1{Enter}');
  await settled();
  await settled();
  expect(written.at(-1)).toMatchObject({ neurons: [1], layers: [7] });
  expect(readout()).toContain('L7N1 · 8 at ·cat');
  // The next key is one of the view: nothing is typed.
  await userEvent.keyboard('o');
  await settled();
  expect(input.value).toBe('');
  expect(button(/^mean$/).ariaPressed).toBe('true');
  await userEvent.keyboard('/x9{Escape}');
  expect(root.activeElement).toBe(map());
  expect(input.value).toBe('');
  await userEvent.keyboard('o');
  await settled();
  expect(button(/^sparsity$/).ariaPressed).toBe('true');
});

test('live, what is not here is asked of the kernel, a page or a column at a time', async () => {
  await mount(
    { whole: false, count: 2 },
    {
      live: true,
      kept: [
        [3, 0],
        [0, 1],
      ],
    },
  );
  expect(names()).toEqual(['N3', 'N0']);
  expect(asked).toEqual([]);
  button(/^›$/).click();
  await settled();
  expect(asked).toEqual([{ name: 'slice', args: { layer: 0, order: 'max', at: undefined, start: 2, count: 2 } }]);
  expect(names()).toEqual(['N2', 'N1']);
  expect(root.querySelector('.count')!.textContent!.trim()).toBe('3–4 of 4');
  figure.receive({ layers: [7], neurons: [3] });
  await settled();
  await settled();
  expect(asked.at(-1)).toEqual({ name: 'columns', args: { layer: 1, ids: [3] } });
  expect(readout()).toContain('L7N3 · 1 at every token');
});

test('a file says what it holds, and orders that', async () => {
  await mount(
    { whole: false, count: 2 },
    {
      kept: [
        [3, 0],
        [0, 1],
      ],
    },
  );
  expect(root.textContent).toContain('2 of 4 neurons kept in this copy');
  button(/^mean$/).click();
  await settled();
  expect(names()).toEqual(['N0', 'N3']);
  expect(map().textContent).toContain('neuron: 2 kept of 4, by mean');
  button(/^max/).click();
  await settled();
  expect(map().textContent).toContain('neuron: 2 of 4, by max |a|');
  figure.receive({ layers: [4], neurons: [1] });
  await settled();
  expect(readout()).toBe('L4N1 · Not in this copy.');
  expect(root.querySelector('h4')!.textContent).toBe('L4N1 Not in this copy.');
  expect(button(/^like/)).toBeUndefined();
  expect(root.querySelector('.unit')!.textContent).toContain('Not in this copy.');
});

test('a layer with none of the chosen neurons says so, and which have some', async () => {
  await mount({ only: true }, { kept: [[], [0, 1]] });
  const said = 'No neuron of this layer was chosen. Chosen ones: L7';
  expect(readout()).toBe(said);
  expect(root.querySelector('.count')!.textContent!.trim()).toBe('0–0 of 0');
  figure.paper = { width_mm: 174, ground: 'white' } as typeof figure.paper;
  await settled();
  expect(root.querySelector('.status')!.textContent!.trim()).toBe(said);
  figure.paper = undefined;
  await settled();
  map().focus();
  await userEvent.keyboard(']');
  await settled();
  await settled();
  expect(readout()).toContain('L7N0');
  expect(map().textContent).toContain('neuron: 2 chosen of 4, by max |a|');
  expect(names()).toEqual(['N0', 'N1']);
});

test('residual dimensions: a line says that they have no basis, and none is picked for other views', async () => {
  await mount({ kind: 'residual', axis: null, letter: 'd' });
  expect(root.querySelector('.basis')!.textContent).toContain('no privileged basis');
  await userEvent.click(map(), { position: cell(2, 0) });
  await settled();
  expect(written.at(-1)).toMatchObject({ neurons: [], features: [], positions: [2] });
  expect(root.querySelector('.unit')!.textContent).toContain('L4d3');
});

test('a neuron without a number says so', async () => {
  const nothing = [NaN, NaN, NaN];
  await mount({}, { given: [[nothing, nothing, nothing, nothing], COLUMNS[1]] });
  expect(readout()).toBe('L4N3 · no numbers (NaN)');
  expect([...root.querySelectorAll('h4')].map((head) => head.textContent!.replace(/\s+/g, ' ').trim())).toEqual([
    'L4N3 over the text',
    'strongest of all 4',
  ]);
});

test('a neuron that is the same everywhere says so, and no zero is among the strongest', async () => {
  await mount(
    { kind: 'features' },
    {
      given: [
        [
          [0, 0, 0],
          [0, 0, 5],
          [0, 0, 0],
          [0, 0, 0],
        ],
        COLUMNS[1],
      ],
    },
  );
  expect(readout()).toBe('L4N3 · 0 at every token');
  await userEvent.hover(root.querySelector('[data-i="2"]')!);
  await vi.waitFor(() => expect(listed()).toEqual(['L4N15']));
  await userEvent.hover(root.querySelector('[data-i="1"]')!);
  await vi.waitFor(() => expect(listed()).toEqual(['all 0 here']));
});

test('one that has a name keeps its number in sight', async () => {
  await mount({ names: { 3: 'months in giving' } });
  expect(readout()).toMatch(/^months in giving · L4N3 · −6 at ·sat/);
  await userEvent.hover(root.querySelector('[data-i="1"]')!);
  await vi.waitFor(() => expect(listed()).toEqual(['L4N04', 'months in giving−4', 'L4N12']));
  expect(root.querySelector<HTMLElement>('table button[title]')!.title).toBe('months in giving · L4N3');
  expect(root.querySelectorAll('table button[title]')).toHaveLength(1);
  abort.abort();
  await mount({ names: { 3: 'months of the year in contexts of giving and receiving' } });
  await userEvent.keyboard('p');
  root.querySelector<HTMLElement>('[data-i="1"]')!.focus();
  await userEvent.keyboard('p');
  const peak = root.querySelector<HTMLElement>('.unit p > span')!; // whole, however long the name
  expect(peak.textContent).toBe('−6 at ·sat');
  expect(peak.scrollWidth).toBeLessThanOrEqual(peak.clientWidth);
});

test('long names that begin alike are told apart in the list as on the map', async () => {
  const all = [0, 1, 2, 3].map((i) => `tokens in the context of giving and of receiving ${'abcd'[i]}${i}`);
  await mount({ names: all });
  await vi.waitFor(() => expect(listed()).toHaveLength(2));
  const shown = [...root.querySelectorAll('table button')].map((button) => button.textContent);
  expect(shown).toEqual(['tokens i…ving d3', 'tokens i…ving b1']);
  for (const button of root.querySelectorAll('table button'))
    expect(button.scrollWidth).toBeLessThanOrEqual(button.clientWidth);
});

test('a paragraph that is drawn in parts has the lines of one that is not, at any width; on paper it is one', async () => {
  const text = Array.from({ length: 450 }, (_, i) => ` t${i}`);
  const none = text.map(() => false);
  const tokens = { text, label: text, group: text.map((_, i) => i), special: none, role: none, ids: null };
  const values = text.map((_, i) => i);
  await mount(
    { tokens: { ...tokens, piece: text.map(() => '') } },
    { given: [[values, values, values, values], COLUMNS[1]] },
  );
  const side = root.querySelector<HTMLElement>('.side')!;
  const blocks = () => [...root.querySelectorAll('.text .block')];
  for (const width of [undefined, 200, 333]) {
    const before = blocks()[1].textContent;
    if (width) {
      side.style.width = `${width}px`;
      await vi.waitFor(() => expect(blocks()[1].textContent).not.toBe(before));
    }
    expect(blocks().length).toBeGreaterThan(4);
    // As if it were not: all of it in the first.
    const copies = blocks().map((block) => block.cloneNode(true) as HTMLElement);
    const whole = blocks()[0].parentElement!.cloneNode() as HTMLElement;
    copies.slice(1).forEach((copy) => copies[0].append(...copy.childNodes));
    whole.append(copies[0]);
    const parent = blocks()[0].parentElement!;
    const places = (of: HTMLElement) =>
      [...of.querySelectorAll('[data-i]')].map((token) => {
        const [place, from] = [token, of].map((element) => element.getBoundingClientRect());
        return [place.left - from.left, place.top - from.top, place.width].map(Math.round);
      });
    const parted = places(parent);
    parent.after(whole);
    expect(places(whole)).toEqual(parted);
    whole.remove();
  }
  figure.paper = { width_mm: 174, ground: 'white' } as typeof figure.paper;
  await settled();
  expect(blocks()).toHaveLength(1);
});

test('statistics: the largest may be infinite, the others are of what is finite', async () => {
  const found = statisticsOf(Float32Array.of(0, 4, NaN, 0, -Infinity), true);
  // mean 4/3; sparsity 1 − (4/3)² / (16/3) = 2/3; variance (16/9 + 64/9 + 16/9) / 3
  expect(found).toEqual({
    max: Infinity,
    mean: 4 / 3,
    sparsity: expect.closeTo(2 / 3, 6),
    variance: expect.closeTo(32 / 9),
    peak: 4,
  });
  expect(statisticsOf(Float32Array.of(0, 4, -Infinity), false)).toMatchObject({ max: 4, mean: 2, peak: 1 });
  expect(statisticsOf(Float32Array.of(NaN), true)).toMatchObject({ max: NaN, peak: -1 });
  // As in tests/test_neurons.py.
  const columns = [
    [0, 5, 9],
    [1, -Infinity, 1],
    [NaN, Infinity, 3],
    [2, 4, NaN],
    [NaN, NaN, NaN],
  ];
  const column = (id: number) => ({ values: Float32Array.from(columns[id]) });
  expect(ordered([4, 3, 2, 1, 0], column, 'max', undefined, false)).toEqual([2, 0, 3, 1, 4]);
  await mount({}, { given: [[[0, -Infinity, 1], ...COLUMNS[0].slice(1)], COLUMNS[1]], kept: [[0, 1, 2, 3], KEPT[1]] });
  expect(readout()).toBe('L4N0 · −∞ at ·cat 1 · mean 0.5000 · sparsity 0.5000 · variance 0.2500');
});

test('order, likeness and names', () => {
  const columns = COLUMNS[0].map((values) => ({ values: Float32Array.from(values) }));
  const by = (order: Parameters<typeof ordered>[2], at?: number) =>
    ordered([3, 2, 1, 0], (id) => columns[id], order, at, true);
  expect(by('sparsity')).toEqual([0, 1, 3, 2]);
  expect(by('variance')).toEqual([0, 3, 1, 2]);
  expect(by('index')).toEqual([0, 1, 2, 3]);
  expect(correlation(columns[1].values, columns[3].values)).toBeCloseTo(-1);
  // 1 2 3 with −2 −4 −6: what stands beside no number counts for nothing
  expect(correlation(Float32Array.of(9, 1, 2, 3, 7), Float32Array.of(NaN, -2, -4, -6, Infinity))).toBeCloseTo(-1);
  expect(unitName(3, 'N', 17, null)).toBe('L3N17');
  expect(unitName(null, 'F', 2, ['a', 'b', 'dogs'])).toBe('dogs');
  const find = (text: string) => unitOf(text, [4, 7], 1, 20, { 5: 'Dogs that bark' });
  expect([find('L4N17'), find('n3'), find('19'), find(' dogs'), find('L4N20'), find('')]).toEqual([
    { layer: 0, id: 17 },
    { layer: 1, id: 3 },
    { layer: 1, id: 19 },
    { layer: 1, id: 5 },
    undefined,
    undefined,
  ]);
});

test('bars of a chart are the ones furthest from zero', () => {
  expect(bars(Float64Array.of(1.7e308, -1.7e308), [-1.7e308, 1.7e308], 100, 40)).toEqual(
    bars(Float64Array.of(1, -1), [-1, 1], 100, 40),
  );
  // Six positions on three pixels are three bars; 4 of −2 … 4 over 60 px is 40 up from a zero at 40.
  const found = bars(Float32Array.of(1, 4, 0, -2, 0, 0), [-2, 4], 3, 60);
  expect(found).toEqual({ above: 'M0 40v-40h1V40z', below: 'M1 40v20h1V40z', zero: 40, per: 2 });
});
