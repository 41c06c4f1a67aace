import axe from 'axe-core';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { page, userEvent } from 'vitest/browser';
import type { Backend } from '../src/backend';
import type { Figure } from '../src/figure.svelte';
import { mountFigure } from '../src/mount';
import { moved, placed, tickText, ticksOf, zoomed } from '../src/parts/chartaxis';
import { PointGrid } from '../src/parts/chartgrid';
import { placeEnds, placeLabels } from '../src/parts/chartlabels';
import { matches } from '../src/parts/charttrack.svelte';
import { emptySelection, type Axis, type Selection } from '../src/selection';
import type { Header, NdArray } from '../src/wire';
import { random } from './random';

const texts = (from: number, to: number, log = false, count = 5) =>
  ticksOf([from, to], log, count).map((tick) => tick.text);

describe('axes', () => {
  test('ticks are 1, 2 or 5 times a power of ten apart, and told apart', () => {
    expect(texts(0, 10)).toEqual(['0', '2', '4', '6', '8', '10']);
    expect(texts(0, 1)).toEqual(['0', '0.2', '0.4', '0.6', '0.8', '1.0']);
    expect(texts(-3, 12, false, 3)).toEqual(['0', '5', '10']);
    expect(texts(0, 4001, false, 4)).toEqual(['0', '1,000', '2,000', '3,000', '4,000']);
    expect(texts(2_000_000, 8_000_000, false, 3)).toEqual(['2e6', '4e6', '6e6', '8e6']);
    expect(texts(0, 2_000_000, false, 4)).toEqual(['0', '5e5', '1.0e6', '1.5e6', '2.0e6']); // one way for all
    expect(ticksOf([0, 3], false, 9, 1).map((tick) => tick.text)).toEqual(['0', '1', '2', '3']);
    // Far in: neighbours differ in their last digit, and none is said twice.
    expect(texts(1.2345, 1.2346)).toEqual(['1.23450', '1.23452', '1.23454', '1.23456', '1.23458', '1.23460']);
    expect(new Set(texts(1e6, 1e6 + 1e-3)).size).toBe(texts(1e6, 1e6 + 1e-3).length);
    expect(tickText(-0.5, 0.1)).toBe('−0.5');
    expect(tickText(1e-7, 1e-7)).toBe('1e−7');
  });

  test('logarithmic ticks are powers of ten, with 2 and 5 between them where there is room', () => {
    expect(texts(-3, 3, true, 7)).toEqual(['0.001', '0.01', '0.1', '1', '10', '100', '1,000']);
    expect(texts(-8, 8, true, 4)).toEqual(['1e−5', '1', '100,000']);
    expect(texts(0, 1, true, 6)).toEqual(['1', '2', '5', '10']);
    expect(texts(Math.log10(3), Math.log10(4), true, 5)).toEqual(['3.0', '3.2', '3.4', '3.6', '3.8', '4.0']);
  });

  test('what has no place on a logarithmic axis is NaN; a linear one copies nothing', () => {
    const values = Float32Array.from([100, 1, 0, -5, NaN, Infinity]);
    expect([...placed(values, true)]).toEqual([2, 0, NaN, NaN, NaN, Infinity]);
    expect(placed(values, false)).toBe(values);
  });

  test('zoom keeps the place it is about, and nothing leaves the data', () => {
    expect(zoomed([0, 10], 0.5, 2, [0, 10])).toEqual([1, 6]);
    expect(zoomed([1, 6], 4, 2, [0, 10])).toEqual([0, 10]);
    expect(moved([2, 4], 100, [0, 10])).toEqual([8, 10]);
    expect(moved([2, 4], -100, [0, 10])).toEqual([0, 2]);
  });
});

describe('finding points', () => {
  test('the nearest is that of a search through all, at any zoom', () => {
    const next = random(3);
    const n = 5000;
    const x = Float32Array.from({ length: n }, () => next() ** 3);
    const y = Float32Array.from({ length: n }, (_, i) => (i % 50 === 0 ? NaN : 100 * next()));
    const grid = new PointGrid(x, y);
    let found = 0;
    for (let k = 0; k < 300; k++) {
      const [px, py, rx, ry] = [next(), 100 * next(), 0.03 * next(), 3 * next()];
      let [best, wanted] = [1, undefined as number | undefined];
      for (let i = 0; i < n; i++) {
        const away = ((x[i] - px) / rx) ** 2 + ((y[i] - py) / ry) ** 2;
        if (away < best) [best, wanted] = [away, i];
      }
      expect(grid.nearest(px, py, rx, ry)).toBe(wanted);
      if (wanted !== undefined) found++;
    }
    expect(found).toBeGreaterThan(100); // both cases were there
    const inside = grid.within(0.2, 0.5, 10, 20);
    expect(inside).toEqual([...x.keys()].filter((i) => x[i] >= 0.2 && x[i] <= 0.5 && y[i] >= 10 && y[i] <= 20));
    expect(inside.length).toBeGreaterThan(10);
  });

  test('all points at one place are one cell: the last is on top', () => {
    const grid = new PointGrid(new Float32Array(9), new Float32Array(9));
    expect(grid.nearest(0, 0, 1, 1)).toBe(8);
    expect(new PointGrid(Float32Array.of(NaN), Float32Array.of(1)).nearest(0, 1, 9, 9)).toBeUndefined();
  });
});

describe('names', () => {
  test('no name lies over another, over a point, or outside', () => {
    const next = random(1);
    const marks = Array.from({ length: 60 }, (_, i) => ({ i, x: 300 * next(), y: 200 * next() }));
    const labels = placeLabels(marks, (i) => `L${i}H0`, { width: 300, height: 200 }, 4, [7], 30);
    expect(labels.length).toBeGreaterThan(5);
    expect(labels[0].i).toBe(7);
    const boxes = labels.map(({ x, y, anchor, text }) => {
      const width = 6.2 * text.length;
      const left = anchor === 'start' ? x : anchor === 'end' ? x - width : x - width / 2;
      return { left, right: left + width, top: y - 9, bottom: y + 3 };
    });
    for (const [k, a] of boxes.entries()) {
      expect(Math.min(a.left, a.top, 300 - a.right, 200 - a.bottom)).toBeGreaterThanOrEqual(0);
      for (const b of boxes.slice(k + 1)) {
        expect(a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom).toBe(false);
      }
    }
  });

  test('names at the ends of lines keep apart and stay inside; those without a place are left out', () => {
    const ends = [10, 11, 12, 195].map((y, i) => ({ i, y }));
    expect([...placeEnds(ends, 200, 13, 4).values()]).toEqual([10, 23, 36, 195]);
    expect([...placeEnds(ends, 30, 13, 4).keys()]).toEqual([0, 1, 3]); // 3 has a place of its own
    expect([...placeEnds(ends, 200, 13, 1).keys()]).toEqual([0, 3]);
  });
});

describe('what a selection names', () => {
  const column = (...data: number[]): NdArray => ({
    data: Int32Array.from(data),
    shape: [data.length],
    precision: 'exact',
  });
  const axes: [Axis, NdArray][] = [
    ['layers', column(0, 0, 1, 1)],
    ['heads', column(0, 1, 0, 1)],
  ];
  const named = (change: Partial<Selection>) => matches(axes, { ...emptySelection(), ...change }, 4);

  test('lists of one length go together, others cross, an empty one says nothing', () => {
    expect(named({})).toEqual([]);
    expect(named({ positions: [0] })).toEqual([]);
    expect(named({ layers: [1], heads: [0] })).toEqual([2]);
    expect(named({ layers: [0, 1], heads: [1, 0] })).toEqual([1, 2]);
    expect(named({ layers: [1] })).toEqual([2, 3]);
    expect(named({ layers: [0, 1], heads: [1] })).toEqual([1, 3]);
  });
});

// --- mounted views

let abort: AbortController;
let root: ShadowRoot;
let figure: Figure;
let written: Selection[];

beforeEach(async () => {
  await page.viewport(1000, 800);
  await userEvent.hover(document.documentElement, { position: { x: 990, y: 790 } });
  abort = new AbortController();
});
afterEach(() => {
  abort.abort();
  document.body.replaceChildren();
  document.body.removeAttribute('style');
});

const axis = (label: string, log = false) => ({ label, log, limits: null });

/** Mount a chart as a page or a widget does. `columns` are the arrays by name; props name them as "$name". */
async function show(kind: string, columns: Record<string, number[] | Float32Array>, props: Record<string, unknown>) {
  const arrays = Object.fromEntries(
    Object.entries(columns).map(([id, data]) => [
      id,
      { data: Float32Array.from(data), shape: [data.length], precision: 'exact' } as NdArray,
    ]),
  );
  const refer = (value: unknown): unknown => {
    if (typeof value === 'string' && value.startsWith('$')) return { $array: value.slice(1) };
    if (value === null || typeof value !== 'object') return value;
    if (Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, refer(item)]));
  };
  const header: Header = { dtype: 'float32', shape: [], encoding: 'raw', layout: 'dense', exact: true };
  written = [];
  const backend: Backend = {
    live: true,
    load: async (id) => arrays[id],
    writeSelection: (selection) => written.push(selection),
  };
  const all = { frame: { title: 'Chart', provenance: [], edits: [] }, ...(refer(props) as object) };
  const json = {
    layout: { kind: 'view', id: '0' } as const,
    views: { '0': { kind, props: all } },
    arrays: Object.fromEntries(Object.keys(arrays).map((id) => [id, header])),
    selection: {},
  };
  const el = document.createElement('div');
  document.body.append(el);
  figure = await mountFigure(el, json, backend, abort.signal);
  root = el.querySelector('.mechviz')!.shadowRoot!;
  await settled();
}

const HEADS = { noun: 'head', axes: { layers: '$layers', heads: '$heads' }, labels: null };

/** Four heads at the corners of a square. */
const scatter = (more: Record<string, unknown> = {}, columns: Record<string, number[]> = {}) =>
  show(
    'scatter',
    { x: [1, 2, 1, 2], y: [1, 1, 2, 2], layers: [0, 0, 1, 1], heads: [0, 1, 0, 1], ...columns },
    {
      x: '$x',
      y: '$y',
      axes: { x: axis('entropy, nats'), y: axis('score') },
      points: HEADS,
      groups: null,
      shade: null,
      ...more,
    },
  );

/** Two lines of five steps, at 0, 10, … 40. */
const lines = (more: Record<string, unknown> = {}, columns: Record<string, number[]> = {}) =>
  show(
    'lines',
    { x: [0, 10, 20, 30, 40], y: [5, 4, 3, 2, 1, 6, 6, 6, 6, 6], step: [0, 1, 2, 3, 4], ...columns },
    {
      x: '$x',
      y: '$y',
      low: null,
      high: null,
      names: ['a', 'b'],
      axes: { x: axis('step'), y: axis('loss, nats') },
      points: { noun: 'step', axes: { step: '$step' }, labels: null },
      lines: { noun: 'line', axes: {}, labels: null },
      ...more,
    },
  );

const bars = (values: number[], more: Record<string, unknown> = {}) =>
  show(
    'bars',
    { values, layers: values.map((_, i) => i) },
    {
      values: '$values',
      low: null,
      high: null,
      axes: { x: axis(''), y: axis('logit') },
      horizontal: true,
      points: { noun: 'site', axes: { layers: '$layers' }, labels: values.map((_, i) => `L${i}.mlp`) },
      ...more,
    },
  );

const chart = () => root.querySelector<HTMLElement>('[role=application]')!;
const canvas = () => root.querySelector('canvas')!;
const readout = () => root.querySelector('.readout')!.textContent!.replace(/\s+/g, ' ').trim();
const note = () => root.querySelector('.note')!.textContent;
const settled = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
const ring = () => root.querySelector('.hovered');
const ticks = () => [...root.querySelectorAll('svg text')].map((text) => text.textContent);

/** A place of the plot, as shares of its width and height from the left bottom. */
function at(share: { x: number; y: number }) {
  const [outer, plot] = [chart().getBoundingClientRect(), canvas().getBoundingClientRect()];
  const x = plot.left - outer.left + share.x * plot.width;
  const y = plot.top - outer.top + (1 - share.y) * plot.height;
  return { position: { x: Math.round(x), y: Math.round(y) } };
}
// 4 % of room at each end: the corners of the data lie there.
const CORNER = { low: 0.04 / 1.08, high: 1 - 0.04 / 1.08 };
const pointer = (type: string, share: { x: number; y: number }, more: PointerEventInit = {}) => {
  const plot = canvas().getBoundingClientRect();
  const where = { clientX: plot.left + share.x * plot.width, clientY: plot.top + (1 - share.y) * plot.height };
  chart().dispatchEvent(new PointerEvent(type, { bubbles: true, pointerId: 1, ...where, ...more }));
};
function drag(from: { x: number; y: number }, to: { x: number; y: number }, more: PointerEventInit = {}) {
  vi.spyOn(chart(), 'setPointerCapture').mockImplementation(() => {});
  pointer('pointerdown', from, more);
  pointer('pointermove', { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 }, { buttons: 1, ...more });
  pointer('pointermove', to, { buttons: 1, ...more });
  pointer('pointerup', to, more);
  return settled();
}

describe('scatter', () => {
  test('a point is read exactly, elsewhere nothing is, and nothing moves', async () => {
    await scatter();
    const before = root.querySelector('footer')!.getBoundingClientRect().top;
    expect(readout()).toBe('4 heads · entropy, nats 1 … 2 · score 1 … 2');
    await userEvent.hover(chart(), at({ x: CORNER.high, y: CORNER.low }));
    // y has 6 % of room, not 4 %: the point is still within reach of the pointer.
    await vi.waitFor(() => expect(readout()).toBe('L0H1 · entropy, nats 2 · score 1'));
    expect(ring()).not.toBeNull();
    expect(figure.hover).toEqual({ layer: 0, head: 1 });
    await userEvent.hover(chart(), at({ x: 0.5, y: 0.5 }));
    await vi.waitFor(() => expect(ring()).toBeNull());
    expect(root.querySelector('footer')!.getBoundingClientRect().top).toBe(before);
  });

  test('a click picks what the point stands for, Shift adds, once more lets go, Escape empties', async () => {
    await scatter();
    await userEvent.click(chart(), at({ x: CORNER.high, y: CORNER.high }));
    expect(written.at(-1)).toMatchObject({ layers: [1], heads: [1] });
    await userEvent.keyboard('{Shift>}');
    await userEvent.click(chart(), at({ x: CORNER.low, y: CORNER.low }));
    await userEvent.keyboard('{/Shift}');
    expect(written.at(-1)).toMatchObject({ layers: [1, 0], heads: [1, 0] });
    await userEvent.click(chart(), at({ x: CORNER.low, y: CORNER.low }));
    expect(written.at(-1)).toMatchObject({ layers: [0], heads: [0] });
    await userEvent.click(chart(), at({ x: CORNER.low, y: CORNER.low }));
    expect(written.at(-1)).toMatchObject({ layers: [], heads: [] });
    await userEvent.click(chart(), at({ x: CORNER.low, y: CORNER.low }));
    await userEvent.keyboard('{Escape}');
    expect(written.at(-1)).toMatchObject({ layers: [], heads: [] });
  });

  test('what other views point at and pick is shown', async () => {
    await scatter();
    figure.hover = { layer: 1, head: 0, query: 3 };
    await settled();
    expect(readout()).toContain('L1H0 ·');
    figure.hover = { position: 2 };
    figure.receive({ layers: [0, 1], heads: [1, 0] });
    await settled();
    expect(readout()).toBe('2 selected: L0H1, L1H0');
    figure.hover = { layer: 7, head: 7 };
    await settled();
    expect(ring()).toBeNull();
  });

  test('a drag selects the points of a rectangle; with Shift more of them', async () => {
    await scatter();
    await drag({ x: 0.01, y: 0.01 }, { x: 0.5, y: 0.99 });
    expect(written.at(-1)).toMatchObject({ layers: [0, 1], heads: [0, 0] });
    await drag({ x: 0.8, y: 0.8 }, { x: 0.99, y: 0.99 }, { shiftKey: true });
    expect(written.at(-1)).toMatchObject({ layers: [0, 1, 1], heads: [0, 0, 1] });
    await drag({ x: 0.4, y: 0.4 }, { x: 0.6, y: 0.6 });
    expect(written.at(-1)).toMatchObject({ layers: [], heads: [] });
  });

  test('keys: a stop of Tab, arrows by x and by y, Home, End, Enter, Shift Space', async () => {
    await scatter({}, { x: [3, 1, 4, NaN], y: [1, 5, 9, 2] });
    expect(chart().tabIndex).toBe(0);
    expect(root.querySelectorAll('[role=application] [tabindex]')).toHaveLength(0);
    chart().focus();
    const read = async (key: string) => {
      await userEvent.keyboard(`{${key}}`);
      return readout().split(' ·')[0];
    };
    // By x: 1 (L0H1), 3 (L0H0), 4 (L1H0); the one without an x is never reached.
    expect(await read('ArrowRight')).toBe('L0H1');
    expect(await read('ArrowRight')).toBe('L0H0');
    expect(await read('ArrowRight')).toBe('L1H0');
    expect(await read('ArrowRight')).toBe('L1H0');
    expect(await read('Home')).toBe('L0H1');
    expect(await read('ArrowUp')).toBe('L1H0'); // y: 1, 5, 9
    expect(await read('ArrowDown')).toBe('L0H1');
    await userEvent.keyboard('{Enter}{End}{Shift>} {/Shift}');
    expect(written.at(-1)).toMatchObject({ layers: [0, 1], heads: [1, 0] });
    expect(note()).toBe('1 point without a finite place left out');
  });

  test('zoom by keys and wheel, a drag of an axis, and back', async () => {
    await scatter();
    const whole = ticks();
    const shown = () => root.querySelector('.controls button:last-child')!;
    expect(getComputedStyle(shown()).visibility).toBe('hidden');
    // The page scrolls past a chart that has not been clicked into.
    const wheel = (more: WheelEventInit) => {
      const event = new WheelEvent('wheel', { deltaY: -300, bubbles: true, cancelable: true, ...more });
      chart().dispatchEvent(event);
      return event.defaultPrevented;
    };
    expect(wheel({})).toBe(false);
    expect(wheel({ ctrlKey: true })).toBe(true);
    await settled();
    expect(ticks()).not.toEqual(whole);
    expect(getComputedStyle(shown()).visibility).toBe('visible');
    await userEvent.click(shown());
    expect(ticks()).toEqual(whole);
    chart().focus();
    await userEvent.keyboard('++');
    const near = ticks();
    expect(near).not.toEqual(whole);
    await drag({ x: 0.5, y: -0.06 }, { x: 0.2, y: -0.06 });
    expect(ticks()).not.toEqual(near);
    await userEvent.keyboard('0');
    expect(ticks()).toEqual(whole);
    expect(wheel({ deltaY: 300 })).toBe(false); // nothing more to be seen: the page's again
    await userEvent.keyboard('+');
    chart().dispatchEvent(new MouseEvent('dblclick', { bubbles: true }));
    await settled();
    expect(ticks()).toEqual(whole);
  });

  test('a finger that scrolls the page selects nothing', async () => {
    await scatter();
    const touch = { pointerType: 'touch', buttons: 1 };
    pointer('pointerdown', { x: 0.1, y: 0.1 }, touch);
    pointer('pointermove', { x: 0.2, y: 0.9 }, touch);
    pointer('pointercancel', { x: 0.2, y: 0.9 }, touch);
    await settled();
    expect(written).toEqual([]);
    expect(root.querySelector('.brush')).toBeNull();
  });

  test('two fingers zoom', async () => {
    await scatter();
    const whole = ticks();
    const touch = (type: string, pointerId: number, x: number) =>
      pointer(type, { x, y: 0.5 }, { pointerId, pointerType: 'touch', buttons: 1 });
    touch('pointerdown', 1, 0.4);
    touch('pointerdown', 2, 0.6);
    touch('pointermove', 1, 0.1);
    touch('pointermove', 2, 0.9);
    touch('pointerup', 1, 0.1);
    touch('pointerup', 2, 0.9);
    await settled();
    expect(ticks()).not.toEqual(whole);
    expect(written).toEqual([]);
  });

  test('a logarithmic axis counts what it has no place for', async () => {
    await scatter({}, { x: [1, 10, 1000, 0], y: [1, 2, 3, 4] });
    chart().focus();
    await userEvent.keyboard('l');
    expect(root.textContent).toContain('score (log)');
    await userEvent.keyboard('l');
    expect(ticks()).toEqual(expect.arrayContaining(['1', '10', '100', '1,000']));
    expect(note()).toBe('1 value not above 0 has no place on log x');
    await userEvent.keyboard('l');
    expect(note()).toBe('1 value not above 0 has no place on log x, y');
    await userEvent.keyboard('l');
    expect(note()).toBe('');
  });

  test('what is zoomed and logarithmic stays while new numbers come', async () => {
    await scatter({}, { x: [1, 10, 100, 1000], y: [1, 2, 3, 4] });
    chart().focus();
    await userEvent.keyboard('ll++');
    const before = ticks();
    const view = figure.views['0'];
    const x = { ...(view.props.x as NdArray), data: Float32Array.of(1, 20, 100, 1000) };
    figure.views = {
      '0': { ...view, props: { ...view.props, x, axes: { x: axis('entropy, nats'), y: axis('score') } } },
    };
    await settled();
    expect(ticks().filter((text) => !text?.startsWith('L'))).toEqual(before.filter((text) => !text?.startsWith('L')));
    expect(root.textContent).toContain('entropy, nats (log)');
  });

  test('many points are specks; groups keep a marker each in the legend, the sixth is grey', async () => {
    const next = random(2);
    const n = 5000;
    const x = Array.from({ length: n }, next);
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    await scatter(
      { points: { noun: 'point', axes: {}, labels: null }, groups: { index: '$group', names } },
      { x, y: Array.from({ length: n }, next), group: x.map((_, i) => i % 6) },
    );
    expect(note()).toBe('denser where points overlap');
    expect([...root.querySelectorAll('li')].map((item) => item.textContent)).toEqual(names);
    expect(new Set([...root.querySelectorAll('li path')].map((path) => path.getAttribute('d'))).size).toBe(5);
    const { width, height } = canvas();
    const pixels = new Uint32Array(canvas().getContext('2d')!.getImageData(0, 0, width, height).data.buffer);
    // A speck is two pixels square: less than four for each, since some overlap, and more than half of that.
    const filled = pixels.filter((pixel) => pixel !== 0).length;
    expect(filled).toBeLessThanOrEqual(4 * n);
    expect(filled).toBeGreaterThan(2 * n);
    // Without anything that points stand for, a click picks here alone.
    await userEvent.click(chart(), at({ x: 0.5, y: 0.5 }));
    expect(readout()).toMatch(/^point \d+/);
    expect(written).toEqual([]);
  });
});

describe('lines', () => {
  test('the nearest line is read, and the others at that step', async () => {
    await lines();
    await userEvent.hover(chart(), at({ x: 0.5, y: 0.9 }));
    await vi.waitFor(() => expect(readout()).toBe('b · step 20 · loss, nats 6 · a 3'));
    expect(figure.hover).toEqual({ step: 2 });
    await userEvent.hover(chart(), at({ x: 0.26, y: 0.6 }));
    await vi.waitFor(() => expect(readout()).toBe('a · step 10 · loss, nats 4 · b 6'));
    figure.hover = { step: 4 };
    await settled();
    expect(readout()).toContain('step 40');
  });

  test('a click picks the step, a drag a range, which z zooms to', async () => {
    await lines();
    await userEvent.click(chart(), at({ x: 0.5, y: 0.9 }));
    expect(written.at(-1)).toMatchObject({ step: [2] });
    await drag({ x: 0.2, y: 0.5 }, { x: 0.8, y: 0.5 });
    expect(written.at(-1)).toMatchObject({ step: [1, 2, 3] });
    await userEvent.hover(chart(), { position: { x: 2, y: 2 } });
    await vi.waitFor(() => expect(readout()).toBe('3 selected: step 10 … 30'));
    chart().focus();
    await userEvent.keyboard('z');
    expect(ticks()).not.toContain('40');
  });

  test('a line that stands for a head picks it, is drawn bold and named', async () => {
    const sites = { noun: 'head', axes: { layers: '$layers', heads: '$heads' }, labels: null };
    await lines({ lines: sites, names: ['L0H0', 'L2H3'] }, { layers: [0, 2], heads: [0, 3] });
    await userEvent.click(chart(), at({ x: 0.5, y: 0.9 }));
    expect(written.at(-1)).toMatchObject({ step: [2], layers: [2], heads: [3] });
    expect([...root.querySelectorAll('.strong')].map((text) => text.textContent)).toEqual(['L2H3']);
    figure.receive({ layers: [0], heads: [0] });
    await settled();
    expect([...root.querySelectorAll('.strong')].map((text) => text.textContent)).toEqual(['L0H0']);
  });

  test('NaN is a gap that keys pass over; it is counted', async () => {
    await lines({ names: ['a'] }, { y: [5, NaN, NaN, 2, Infinity] });
    expect(note()).toBe('3 values that are not finite are gaps');
    const { width, height } = canvas();
    const drawn = canvas().getContext('2d')!.getImageData(0, 0, width, height).data;
    // Both points stand alone, and each is a dot of some pixels.
    expect(drawn.filter((alpha, k) => k % 4 === 3 && alpha > 0).length).toBeGreaterThan(8);
    chart().focus();
    await userEvent.keyboard('{ArrowRight}');
    expect(readout()).toBe('step 0 · loss, nats 5');
    await userEvent.keyboard('{ArrowRight}');
    expect(readout()).toBe('step 30 · loss, nats 2');
    await userEvent.keyboard('{ArrowRight}');
    expect(readout()).toBe('step 30 · loss, nats 2');
  });

  test('thousands of selected steps are two paths', async () => {
    const x = Array.from({ length: 20_000 }, (_, i) => i);
    await lines({ names: ['a'] }, { x, y: x, step: x });
    const before = root.querySelectorAll('svg *').length;
    figure.receive({ step: x.filter((i) => i % 2 === 0) });
    await settled();
    expect(root.querySelectorAll('svg *').length).toBe(before + 2);
    expect(readout()).toBe('10,000 selected: step 0 … 19,998');
  });

  test('no peak is lost where many steps share a pixel', async () => {
    const n = 100_000;
    const y = new Array(n).fill(0);
    y[54_321] = 1;
    const x = Array.from(y.keys());
    await lines({ names: ['a'] }, { x, y, step: x });
    const { width, height } = canvas();
    const top = canvas()
      .getContext('2d')!
      .getImageData(0, 0, width, Math.round(height * 0.3)).data;
    expect(top.filter((_, k) => k % 4 === 3).some((alpha) => alpha > 0)).toBe(true);
  });
});

describe('bars', () => {
  test('a bar is read, picked and walked; its value stands beside it', async () => {
    await bars([1.25, -0.5, NaN, 3]);
    expect(ticks()).toEqual(expect.arrayContaining(['L0.mlp', 'L3.mlp', '1.25', '−0.50', '3.00']));
    expect(note()).toBe('1 value that is not finite has no bar');
    await userEvent.click(chart(), at({ x: 0.5, y: 0.9 }));
    expect(written.at(-1)).toMatchObject({ layers: [0] });
    await userEvent.keyboard('{ArrowDown}');
    expect(readout()).toBe('L1.mlp · logit −0.5000');
    await userEvent.keyboard('{ArrowUp}{ArrowUp}');
    expect(readout()).toBe('L0.mlp · logit 1.250');
  });

  test('bars that stand have no logarithmic axis; thousands are pooled to pixels', async () => {
    await bars(
      Array.from({ length: 9000 }, (_, i) => (i === 4500 ? 100 : 1)),
      { horizontal: false, points: { noun: 'bar', axes: {}, labels: null } },
    );
    chart().focus();
    const before = ticks();
    await userEvent.keyboard('l');
    expect(ticks()).toEqual(before);
    const { width, height } = canvas();
    const row = canvas()
      .getContext('2d')!
      .getImageData(0, Math.round(height * 0.3), width, 1).data;
    expect(row.filter((alpha, k) => k % 4 === 3 && alpha > 0)).toHaveLength(1); // the long one
  });
});

test.each(['light', 'dark'])('in %s axe finds nothing in any chart, and each says what it is', async (theme) => {
  document.body.style.background = theme === 'dark' ? '#111418' : '#ffffff';
  for (const draw of [scatter, lines, () => bars([1, 2])]) {
    await draw();
    expect(chart().ariaLabel).toBe('Chart');
    const summary = root.getElementById(chart().getAttribute('aria-describedby')!);
    expect(summary!.textContent).toMatch(/^\d+ (heads|lines|sites) · /);
    const { violations } = await axe.run(document.body, { rules: { region: { enabled: false } } });
    expect(violations.map((violation) => violation.id)).toEqual([]);
  }
});

test('hostile names end as text', async () => {
  const hostile = '<img src=x onerror="window.pwned=1">';
  await bars([1], {
    points: { noun: 'site', axes: {}, labels: [hostile] },
    axes: { x: axis(hostile), y: axis(hostile) },
  });
  await userEvent.hover(chart(), at({ x: 0.5, y: 0.5 }));
  await vi.waitFor(() => expect(readout()).toContain(hostile));
  expect(root.querySelector('img')).toBeNull();
});

test('? lists the keys, and no key leaves the chart that it works in', async () => {
  await scatter();
  const outside = vi.fn();
  document.addEventListener('keydown', outside);
  chart().focus();
  await userEvent.keyboard('{ArrowRight}+-0lz{Enter}');
  expect(outside).not.toHaveBeenCalled();
  await userEvent.keyboard('x');
  expect(outside).toHaveBeenCalledOnce();
  document.removeEventListener('keydown', outside);
  await userEvent.keyboard('?');
  expect(root.querySelector('[role=dialog]')!.textContent).toContain('left and right by x');
});
