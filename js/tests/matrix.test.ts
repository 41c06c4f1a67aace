import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { page, userEvent } from 'vitest/browser';
import type { Backend } from '../src/backend';
import type { Figure, FigureJson } from '../src/figure.svelte';
import '../src/labviews';
import { mountFigure } from '../src/mount';
import {
  blockAt,
  blockOf,
  middle,
  named,
  planOf,
  sideLabel,
  sideName,
  span,
  tileOf,
  within,
  type SideJson,
} from '../src/parts/matrix';
import { MatrixZoom } from '../src/parts/matrixzoom.svelte';
import { Dense } from '../src/pattern/dense';
import type { Selection } from '../src/selection';
import type { Header, NdArray } from '../src/wire';

let abort: AbortController;
let root: ShadowRoot;
let figure: Figure;
let written: Selection[];
let asked: unknown[];
let sent: FigureJson;

beforeEach(async () => {
  await page.viewport(1000, 800);
  await userEvent.hover(document.documentElement, { position: { x: 990, y: 790 } });
});
afterEach(() => {
  abort?.abort();
  document.body.replaceChildren();
});

const array = (data: NdArray['data'], shape: number[], precision: NdArray['precision'] = 'exact'): NdArray => ({
  data,
  shape,
  precision,
});
const settled = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
const side = (count: number, more: Partial<SideJson> = {}): SideJson => ({
  noun: 'point',
  axes: {},
  labels: null,
  count,
  mono: false,
  title: 'row',
  ...more,
});

/** Arrays of a side's axes, and the side as Python sends it. */
async function mount(
  kind: string,
  props: Record<string, unknown>,
  arrays: Record<string, NdArray>,
  lazy: string[] = [],
) {
  written = [];
  asked = [];
  abort = new AbortController();
  const backend: Backend = {
    live: lazy.length > 0,
    load: async (id) => arrays[id],
    writeSelection: (selection) => written.push(selection),
    ask: async (_view, _name, args) => {
      asked.push(args);
      const row = (args as { query: number }).query;
      return { value: null, arrays: [array(Float64Array.from([row + 0.123456, row + 0.5]), [2])] };
    },
  };
  const header = (id: string): Header => ({
    dtype: 'float32',
    shape: arrays[id].shape,
    encoding: 'raw',
    layout: 'dense',
    exact: true,
    lazy: lazy.includes(id),
  });
  const json = (sent = {
    layout: { kind: 'view', id: '0' } as const,
    views: { '0': { kind, props: { frame: { title: 'Matrix', provenance: [], edits: [] }, ...props } } },
    arrays: Object.fromEntries(Object.keys(arrays).map((id) => [id, header(id)])),
    selection: {},
  });
  const el = document.createElement('div');
  document.body.append(el);
  figure = await mountFigure(el, json, backend, abort.signal);
  root = el.querySelector('.mechviz')!.shadowRoot!;
  await settled();
}

/** Two matrices of two layers by three positions. */
async function heatmap(
  more: Record<string, unknown> = {},
  values = array(Float32Array.of(1, 2, NaN, -4, 0, 3), [2, 3]),
) {
  const none = { nan: 0, above: 0, below: 0 };
  await mount(
    'heatmap',
    {
      items: [
        { values: { $array: 'a' }, ...none, nan: 1 },
        { values: { $array: 'b' }, ...none },
      ],
      matrices: { ...side(2), labels: ['first', 'second'] },
      rows: { ...side(2, { noun: 'layer', title: 'layer' }), axes: { layers: { $array: 'layers' } } },
      columns: {
        ...side(3, { noun: 'position', title: 'position', labels: ['·x', '·x', 'y'], mono: true }),
        axes: { positions: { $array: 'positions' } },
      },
      open: 0,
      preview: null,
      quantity: 'score, nats',
      scale: { ramp: 'signed', limits: [-4, 4] },
      ...more,
    },
    {
      a: values,
      b: array(Float32Array.of(9, 8, 7, 6, 5, 4), [2, 3]),
      layers: array(Int32Array.of(4, 7), [2]),
      positions: array(Int32Array.of(0, 1, 2), [3]),
    },
  );
}

const map = () => root.querySelector<HTMLElement>('[role=application]')!;
const readout = () => root.querySelector('.readout')!.textContent!.replace(/\s+/g, ' ').trim();
/** Where a cell is: names left of the cells are 24 px at least, cells 36. */
function cell(row: number, column: number) {
  const canvas = root.querySelector('canvas')!.getBoundingClientRect();
  const at = map().getBoundingClientRect();
  return { x: canvas.left - at.left + 36 * column + 18, y: canvas.top - at.top + 36 * row + 18 };
}

test('a cell is read by its names and its number, one that is none says so', async () => {
  await heatmap();
  expect(readout()).toBe('2 × 3 cells (layer by position)');
  await userEvent.hover(map(), { position: cell(1, 0) });
  expect(readout()).toBe('layer L7 · position ·x0 · score, nats −4');
  await userEvent.hover(map(), { position: cell(0, 1) });
  expect(readout()).toBe('layer L4 · position ·x1 · score, nats 2');
  expect(figure.hover).toEqual({ layer: 4, position: 1 });
  await userEvent.hover(map(), { position: cell(0, 2) });
  expect(readout()).toContain('NaN');
  expect(root.querySelector('footer')!.textContent).toContain('1 cell not a number');
});

test('a click picks what row and column stand for, once more lets go; Escape too', async () => {
  await heatmap();
  await userEvent.click(map(), { position: cell(1, 2) });
  expect(written.at(-1)).toMatchObject({ layers: [7], positions: [2] });
  expect(root.querySelectorAll('path.cell').length).toBeGreaterThan(0);
  await userEvent.click(map(), { position: cell(1, 2) });
  expect(written.at(-1)).toMatchObject({ layers: [], positions: [] });
  await userEvent.click(map(), { position: cell(0, 0) });
  await userEvent.keyboard('{Escape}');
  expect(written.at(-1)).toMatchObject({ layers: [], positions: [] });
});

test('arrow keys move, Enter picks, brackets open the other matrix', async () => {
  await heatmap();
  map().focus();
  await userEvent.keyboard('{ArrowRight}{ArrowDown}');
  expect(readout()).toContain('layer L7 · position ·x1 · score, nats 0');
  await userEvent.keyboard('{Enter}');
  expect(written.at(-1)).toMatchObject({ layers: [7], positions: [1] });
  await userEvent.keyboard(']');
  expect(readout()).toContain('score, nats 5');
  expect(root.querySelector('h3')!.textContent).toContain('second');
  expect(root.querySelector('[aria-pressed=true]')!.textContent).toBe('second');
});

test('what other views pick and point at is framed, and read where it is one cell', async () => {
  await heatmap();
  figure.receive({ positions: [2] });
  await settled();
  expect(root.querySelectorAll('path.cell')).toHaveLength(1);
  expect(readout()).toContain('2 × 3 cells');
  figure.receive({ positions: [1], layers: [4] });
  await settled();
  expect(readout()).toContain('layer L4 · position ·x1 · score, nats 2');
  figure.hover = { position: 2 };
  await settled();
  expect(root.querySelectorAll('path.line')).toHaveLength(1);
});

test('a live picture asks for the row that is read, where numbers came inexactly', async () => {
  const a = array(Float32Array.of(0.12, 0.5, 1.12, 1.5), [2, 2], 'float16');
  const one = { values: { $array: 'a' }, nan: 0, above: 0, below: 0 };
  const sides = { rows: side(2), columns: side(2, { title: 'column' }), matrices: side(1) };
  const scale = { ramp: 'ink', limits: [0, 2] };
  await mount('heatmap', { items: [one], ...sides, open: 0, preview: null, quantity: '', scale }, { a }, ['a']);
  map().focus();
  await userEvent.keyboard('{ArrowDown}{ArrowLeft}');
  await vi.waitFor(() => expect(readout()).toBe('row 1 · column 0 · value 1.123'));
  expect(asked.at(-1)).toEqual({ head: 0, query: 1 });
  // Nothing that it stands for: it is picked in this picture alone.
  await userEvent.keyboard('{Enter}');
  expect(root.querySelectorAll('path.cell').length).toBe(2);
});

/** Two layers by two positions, two tokens of each. */
async function lens(layers: number, kind: string) {
  const cells = (data: number[], shape: number[]) => array(Float32Array.from(data), shape);
  await mount(
    kind,
    {
      tokens: { label: ['a', '·b'], role: [null, null], special: [false, false] },
      rows: side(2, { title: kind === 'lens' ? 'layer' : 'rank' }),
      columns: { ...side(2, { title: 'position', labels: ['a', '·b'] }), axes: { positions: { $array: 'positions' } } },
      measures: [
        { name: 'probability', values: { $array: 'values' }, ramp: 'ink', limits: [0, 1] },
        { name: 'rank', values: { $array: 'rank' }, ramp: 'ember', limits: [1, 4] },
        { name: 'kl', values: { $array: 'rank' }, ramp: 'ember', limits: [0, 4] },
      ],
      open: 0,
      names: ['·one', '·two', 'three'],
      top: { $array: 'top' },
      probabilities: { $array: 'probabilities' },
      entropy: { $array: 'entropy' },
      kl: kind === 'lens' ? { $array: 'rank' } : null,
      kl_to: 'L7',
      rank: { $array: 'rank' },
      target_probability: { $array: 'chances' },
      targets: { $array: 'targets' },
    },
    {
      positions: array(Int32Array.of(0, 1), [2]),
      values: cells([0.5, 0.75, 0.9, NaN], [2, 2]),
      top: array(Int32Array.of(0, 1, 1, 2, 2, 0, 0, 1).subarray(0, layers * 4), [layers, 2, 2]),
      probabilities: cells([0.5, 1.87e-5, 0.75, 0, 0.9, 0.1, NaN, NaN].slice(0, layers * 4), [layers, 2, 2]),
      entropy: cells([1, 2, 3, 4], [2, 2]),
      rank: cells([1, 2, 3, 4], [2, 2]),
      chances: cells([2.5e-7, 0, 0.9, 0], [2, 2]),
      targets: array(Int32Array.of(2, -1), [2]),
    },
  );
}
const texts = () => [...root.querySelectorAll('text.token')].map((text) => text.textContent);
const listed = () =>
  [...root.querySelectorAll('table tr')].map((row) =>
    [...row.querySelectorAll('td')]
      .map((cell) => cell.textContent.trim())
      .filter(Boolean)
      .join(' '),
  );

test('a lens has the top token of layer and position in each cell, and lists the rest', async () => {
  await lens(2, 'lens');
  expect(texts()).toEqual(['·one', '·two', 'three']); // the one without numbers has none
  // At rest the model's own prediction after the last token is read: it has no numbers here.
  expect(root.querySelector('.side .head')!.textContent).toMatch(/layer\s+1\b.*position\s+1\b/);
  expect(listed()).toEqual([]);
  map().focus();
  await userEvent.keyboard('{ArrowDown}');
  expect(listed()).toEqual(['three 0.900', '·one 0.100']);
  expect(root.querySelector('dl')!.textContent).toMatch(/rank of three\s*3/);
  await userEvent.keyboard('{Enter}');
  expect(written.at(-1)).toMatchObject({ positions: [0] });
  await userEvent.keyboard('{ArrowRight}');
  expect(root.querySelector('.side')!.textContent).toContain('no numbers (NaN)');
  await userEvent.keyboard(']');
  expect(root.querySelector('figcaption')!.textContent).toBe('rank of the target');
  await userEvent.keyboard(']');
  expect(root.querySelector('figcaption')!.textContent).toBe('KL to L7, nats');
  expect(root.querySelector('dl')!.textContent).toContain('KL to L7, nats');
});

/** As `view.update` does: with other props. */
async function update(props: Record<string, unknown>) {
  const { kind, props: before } = sent.views['0'];
  sent = { ...sent, views: { '0': { kind, props: { ...before, ...props } } } };
  await figure.update(sent);
  await settled();
}

test('what a reader has opened stays through updates, until one of them opens another', async () => {
  const heading = () => root.querySelector('h3')!.textContent;
  await heatmap();
  map().focus();
  await userEvent.keyboard('][[');
  await update({ quantity: 'other' });
  expect(heading()).toContain('first');
  await update({ open: 1 });
  expect(heading()).toContain('second');
  await lens(2, 'lens');
  map().focus();
  await userEvent.keyboard('][[');
  await update({ open: 1 });
  expect(root.querySelector('figcaption')!.textContent).toBe('rank of the target');
  await userEvent.keyboard('[[');
  await update({ names: ['·uno', '·two', 'three'] });
  expect(root.querySelector('figcaption')!.textContent).toBe('probability');
});

test('a small probability has its first digits, one of exactly 0 is 0', async () => {
  await lens(1, 'predictions');
  figure.receive({ positions: [0] });
  await settled();
  expect(listed()).toEqual(['·one 0.500', '·two 1.87e−5']);
  expect(root.querySelector('dl')!.textContent).toMatch(/probability of three\s*2.5e−7/);
});

test('predictions have the tokens of a position one below the other', async () => {
  await lens(1, 'predictions');
  expect(texts()).toEqual(['·one', '·two', '·two', 'three']);
  figure.receive({ positions: [1] });
  await settled();
  expect(listed()).toEqual(['·two 0.750', 'three 0']);
});

test('cells are square while there is room, never lower than a name where there is not', () => {
  const square = planOf(900, side(8), side(14));
  expect([square.x.cell, square.y.cell, square.gap]).toEqual([36, 36, 1]);
  const flat = planOf(900, side(5), side(400));
  expect(flat.y.cell).toBe(14);
  expect(flat.x.cell).toBeGreaterThan(1);
  const huge = planOf(900, side(4096), side(4096));
  // 800 px high, less than 900 wide: 6 rows to a pixel of 4096 / 800, 5 columns.
  expect([huge.y.step, huge.x.step]).toEqual([6, 5]);
  expect(huge.outerWidth).toBeLessThanOrEqual(900);
});

test('names do not collide, and the one that is pointed at is there', () => {
  for (const [count, apart] of [
    [14, 13],
    [400, 13],
    [4096, 40],
  ]) {
    const { x } = planOf(900, side(4), side(count));
    const shown = named(x, apart, [count - 3]);
    expect(shown).toContain(count - 3);
    const gaps = shown.slice(1).map((i, k) => ((i - shown[k]) * x.cell) / x.step);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(apart - 1e-6);
  }
});

test('rectangles are pooled by the largest or the one furthest from 0; NaN wins', () => {
  const values = Float32Array.of(1, -9, 3, NaN, 5, 6, 7, 8);
  const whole = { values, rows: 2, cols: 4, step: 1, origin: { query: 0, key: 0 } };
  const plan = planOf(900, side(2), side(4));
  const pooled = (signed: boolean) =>
    Array.from(
      tileOf({ tile: () => whole }, { ...plan, x: { ...plan.x, step: 2 }, y: { ...plan.y, step: 1 } }, signed)!.values,
    );
  expect(pooled(false)).toEqual([1, NaN, 6, 8]);
  expect(pooled(true)).toEqual([-9, NaN, 6, 8]);
  expect(blockAt({ from: 0, count: 5, step: 2, cell: 10, size: 30, most: 36 }, 25)).toEqual([4, 5]);
  expect(blockAt({ from: 0, count: 5, step: 2, cell: 10, size: 30, most: 36 }, 30)).toBeUndefined();
});

test('a row has its own name, else the letter and number of what it stands for', () => {
  expect(sideName(side(2, { labels: ['x', 'x'] }), 1)).toBe('x');
  expect(sideName(side(2, { noun: 'head', axes: { heads: array(Int32Array.of(3, 5), [2]) } }), 1)).toBe('H5');
  expect(sideName(side(2), 1)).toBe('1');
});

test('a name that is too long keeps both ends, a token its beginning', () => {
  const labels = ['blocks.0.hook_resid_pre', 'blocks.0.hook_resid_mid', '日本語日本語日本語日本語'];
  const texts = (mono: boolean) => labels.map((_, i) => sideLabel(side(3, { labels, mono }), i).text);
  expect(texts(false)).toEqual(['blocks.0.…esid_pre', 'blocks.0.…esid_mid', '日本語日…語日本語']);
  expect(texts(true)).toEqual(['blocks.0.hook_res…', 'blocks.0.hook_res…', '日本語日本語日本…']);
  expect(sideLabel(side(1, { labels: ['of 18 columns, all'] }), 0).text).toBe('of 18 columns, all');
});

test('what has room for its tokens in one direction is shown larger in the other alone', () => {
  const lens = planOf(900, side(12), side(200), { x: 84, y: 24, square: false });
  const zoom = new MatrixZoom(() => lens);
  for (let i = 0; i < 20; i++) zoom.by(0.7);
  expect([zoom.plan.y.count, zoom.plan.y.cell]).toEqual([12, 24]);
  expect(zoom.plan.x.cell).toBeGreaterThan(60);
  const many = new MatrixZoom(() => planOf(900, side(400), side(400)));
  for (let i = 0; i < 20; i++) many.by(0.7);
  expect(Math.min(many.plan.x.cell, many.plan.y.cell)).toBeGreaterThanOrEqual(28);
});

test('a part of a run stands in the same room, its blocks where they would be in all of it', () => {
  const all = { from: 0, count: 100, step: 1, cell: 4, size: 400, most: 36 };
  const some = within(all, [37.4, 57.4]); // 20 of them, 20 px each
  expect(some).toEqual({ from: 37, count: 20, step: 1, cell: 20, size: 400, most: 36 });
  expect([middle(some, 38), span(some, 38, 1), blockAt(some, 25)]).toEqual([30, [20, 19], [38, 39]]);
  const many = within({ ...all, count: 4000 }, [1001, 2001]); // 0.4 px each: four to a cell from 1000 on, 251 cells
  expect([many.from, many.count, many.step]).toEqual([1000, 1001, 4]);
  expect(blockOf(many, 1007)).toEqual([1004, 1008]);
  expect(blockOf(many, 2000)).toEqual([2000, 2001]);
  expect(named(some, 13, [50, 3])).toEqual(expect.arrayContaining([37, 50, 56]));
  expect(named(some, 13, [50, 3])).not.toContain(3);
});

test('what is pooled by halves is what is pooled at once', () => {
  const values = Float32Array.from({ length: 13 * 22 }, (_, i) => ((i * 37) % 101) - 50);
  values[100] = NaN;
  for (const signed of [false, true]) {
    const pattern = new Dense(array(values, [13, 22]), false, signed);
    const { x, y, ...plan } = planOf(900, side(13), side(22));
    const part = { ...plan, x: { ...x, from: 8, count: 12, step: 4 }, y: { ...y, from: 4, count: 9, step: 4 } };
    const tile = tileOf(pattern, part, signed)!;
    expect([tile.rows, tile.cols, tile.origin]).toEqual([3, 3, { query: 4, key: 8 }]);
    // The one that a cell shows is the one that `peak` finds.
    const shown = [4, 8, 12].flatMap((row) =>
      [8, 12, 16].map((column) => {
        const { query, key } = pattern.peak([row, Math.min(13, row + 4)], [column, column + 4])!;
        return values[query * 22 + key];
      }),
    );
    expect(Array.from(tile.values)).toEqual(shown);
  }
});

test('plus and wheel show a part of it, a drag moves that, 0 shows all', async () => {
  const [down, across] = [60, 80];
  const values = Float32Array.from({ length: down * across }, (_, i) => i);
  await mount(
    'heatmap',
    {
      items: [{ values: { $array: 'a' }, nan: 0, above: 0, below: 0 }],
      matrices: side(1),
      rows: side(down),
      columns: { ...side(across), title: 'column' },
      open: 0,
      preview: null,
      quantity: 'value',
      scale: { ramp: 'ink', limits: [0, down * across] },
    },
    { a: array(values, [down, across]) },
  );
  const axis = () => map().querySelector('text.axis')!.textContent;
  const canvas = () => map().querySelector('canvas')!.getBoundingClientRect();
  const { width, height } = canvas();
  const middleOf = () => ({
    position: { x: canvas().left - map().getBoundingClientRect().left + width / 2 + 1, y: height / 2 },
  });
  expect(axis()).toBe('row ↓ · column →');
  await userEvent.click(map(), middleOf());
  const read = readout();
  await userEvent.keyboard('++');
  await settled();
  // 0.7 · 0.7 of 80 and of 60
  expect(axis()).toMatch(/rows \d+–\d+, columns \d+–\d+$/);
  const [top, bottom, left, right] = axis()!.match(/\d+/g)!.map(Number);
  expect([bottom - top + 1, right - left + 1].every((n, k) => Math.abs(n - 0.49 * [down, across][k]) <= 1)).toBe(true);
  expect([canvas().width, canvas().height]).toEqual([width, height]);
  // What was picked is still under the pointer's place.
  expect(readout()).toBe(read);
  const to = middleOf().position;
  const at = { x: map().getBoundingClientRect().left + to.x, y: map().getBoundingClientRect().top + to.y };
  const drag = (type: string, x: number) =>
    map().dispatchEvent(
      new PointerEvent(type, { clientX: x, clientY: at.y, buttons: 1, bubbles: true, composed: true, pointerId: 1 }),
    );
  drag('pointerdown', at.x);
  drag('pointermove', at.x - 100);
  map().dispatchEvent(new MouseEvent('click', { clientX: at.x - 100, clientY: at.y, bubbles: true, composed: true }));
  await settled();
  const moved = Math.round((100 / width) * 0.49 * across);
  expect(Math.abs(Number(axis()!.match(/columns (\d+)/)![1]) - left - moved)).toBeLessThanOrEqual(1);
  expect(readout()).toBe(read); // a drag picks nothing
  await userEvent.keyboard('0');
  await settled();
  expect(axis()).toBe('row ↓ · column →');
  const wheel = new WheelEvent('wheel', { deltaY: -50, ctrlKey: true, clientX: at.x, clientY: at.y, cancelable: true });
  map().dispatchEvent(wheel);
  await settled();
  expect(wheel.defaultPrevented).toBe(true);
  expect(axis()).toContain('rows ');
  // Without Ctrl, and before it has been clicked into, the page scrolls.
  map().blur();
  const other = new WheelEvent('wheel', { deltaY: -50, clientX: at.x, clientY: at.y, cancelable: true });
  map().dispatchEvent(other);
  expect(other.defaultPrevented).toBe(false);
});
