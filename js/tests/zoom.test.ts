/** Parts of a map: where they begin, what stays under the pointer, labels that never meet, and the view that shows them. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { page, userEvent } from 'vitest/browser';
import type { FigureJson } from '../src/figure.svelte';
import { svgOf } from '../src/export/svg';
import '../src/labviews';
import { mountFigure } from '../src/mount';
import {
  beside,
  covers,
  framed,
  keyAt,
  labelsOf,
  openedOn,
  planOf,
  queryAt,
  regionOf,
  revealing,
  zoomed,
  zoomedAt,
  type Region,
} from '../src/parts/heatmap';
import type { TokensJson } from '../src/views/types';
import type { Header, NdArray } from '../src/wire';
import { random } from './random';

const N = 700;

function tokens(count: number): TokensJson {
  const text = Array.from({ length: count }, (_, i) => ` t${i % 7}`); // repeats
  return {
    text,
    label: text.map((t) => t.replace(/^ /, '·')),
    group: text.map((_, i) => i),
    special: text.map(() => false),
    role: text.map(() => null),
    ids: null,
    piece: text.map(() => ''),
  };
}

test('what is under the pointer stays there, at every scale, until the whole fits again', () => {
  const next = random(3);
  for (const [down, across] of [
    [N, N],
    [5000, 300],
    [300, 32768],
  ]) {
    const whole = planOf(508, tokens(down), tokens(across), down === across);
    let [plan, scale] = [whole, whole.cell / whole.step];
    const [x, y] = [whole.left + whole.width * (0.3 + 0.4 * next()), whole.top + whole.height * (0.4 + 0.3 * next())];
    for (let i = 0; i < 60; i++) {
      const at = (of: typeof plan) => of.from.key + ((x - of.left) / of.cell) * of.step;
      const before = at(plan);
      const view = zoomedAt(whole, plan, scale * 1.2, x, y)!;
      const after = zoomed(whole, view, down, across);
      scale = view.scale;
      expect(after.outerWidth).toBe(Math.max(300, whole.outerWidth));
      expect(after.outerHeight).toBe(Math.max(480, whole.outerHeight)); // with room for rows that can be read
      expect(after.left + after.width).toBeLessThanOrEqual(after.outerWidth);
      expect(after.top + after.height).toBeLessThanOrEqual(after.outerHeight);
      // Cells are of at least a pixel, and begin at whole cells; at an end of the text the map stands still.
      expect(after.cell).toBeGreaterThanOrEqual(1);
      expect([after.from.query % after.step, after.from.key % after.step]).toEqual([0, 0]);
      expect(after.to.query).toBeLessThanOrEqual(down);
      // To within a cell of either size: cells begin at whole ones.
      const slack = after.step + plan.step;
      if (after.from.key > 0 && after.to.key < across) expect(Math.abs(at(after) - before)).toBeLessThanOrEqual(slack);
      plan = after;
    }
    expect(plan.step).toBe(1);
    expect(plan.cell).toBe(36);
    expect(zoomedAt(whole, plan, (whole.cell / whole.step) * 0.9, x, y)).toBeUndefined();
  }
});

test('a stripe opens on all of its few rows, around the cell that is focused; what is no stripe opens as a whole', () => {
  for (const [down, across, cell] of [
    [30, 1500, 14],
    [3, 1500, 36],
    [4, 200, 36],
    [1500, 20, 11],
  ]) {
    const whole = planOf(600, tokens(down), tokens(across), false);
    const place = { query: down >> 1, key: across >> 1 };
    const plan = zoomed(whole, openedOn(whole, place)!, down, across);
    expect(plan.step).toBe(1);
    expect(Math.abs(plan.cell - cell)).toBeLessThanOrEqual(2);
    const seen = [plan.to.query - plan.from.query, plan.to.key - plan.from.key];
    expect(down < across ? seen[0] : seen[1]).toBe(Math.min(down, across));
    expect(plan.from.query <= place.query && place.query < plan.to.query).toBe(true);
    expect(plan.from.key <= place.key && place.key < plan.to.key).toBe(true);
    expect(plan.outerHeight).toBeLessThanOrEqual(Math.max(480, whole.outerHeight));
  }
  expect(openedOn(planOf(600, tokens(N), tokens(N), true), {})).toBeUndefined();
  expect(openedOn(planOf(600, tokens(3), tokens(12), false), {})).toBeUndefined(); // each cell is seen
});

test('a rectangle is shown as a whole, and a cell out of sight comes into it', () => {
  const whole = planOf(508, tokens(N), tokens(N), true);
  const plan = zoomed(whole, framed(whole, [100, 120], [40, 50]), N, N);
  expect(plan.from.query).toBe(100);
  expect(plan.from.key).toBe(40);
  expect(plan.to.query).toBeGreaterThanOrEqual(120);
  expect(plan.to.key).toBeGreaterThanOrEqual(50);
  const view = { scale: plan.cell, ...plan.from };
  expect(revealing(plan, view, { query: 105, key: 45 })).toEqual(view);
  const moved = zoomed(whole, revealing(plan, view, { query: 300, key: 3 }), N, N);
  expect(moved.from.query <= 300 && 300 < moved.to.query && moved.from.key <= 3).toBe(true);
  // A cell out of sight lies at the edge, never outside.
  expect(queryAt(plan, 0)).toBe(plan.top);
  expect(keyAt(plan, N)).toBe(plan.left + plan.width);
});

test('labels of a part are of what is in sight, and none meets another', () => {
  for (const pitch of [1.5, 4, 11, 14, 36]) {
    const shown = labelsOf(250, pitch, [3, 180], new Set([181, 182, 300]), 170).map((label) => label.index);
    expect(Math.min(...shown)).toBe(170);
    expect(Math.max(...shown)).toBe(249);
    for (let i = 1; i < shown.length; i++)
      expect((shown[i] - shown[i - 1]) * pitch).toBeGreaterThanOrEqual(pitch < 12 ? 13 : pitch);
  }
});

// --- in the view

let abort: AbortController;
let root: ShadowRoot;

beforeEach(async () => {
  await page.viewport(900, 900);
  // A pointer that rests on the map is told of every layout, and would point at what lies under it.
  await userEvent.hover(document.documentElement, { position: { x: 890, y: 890 } });
  await mounted();
});
afterEach(() => abort.abort());

async function mounted(): Promise<void> {
  abort = new AbortController();
  document.body.innerHTML = '';
  const weights = new Float32Array(N * N);
  for (let q = 0; q < N; q++) for (let k = 0; k <= q; k++) weights[q * N + k] = 0.3 / (q + 1);
  weights[203 * N + 101] = 0.9; // a spike
  const one: NdArray = { data: weights, shape: [N, N], precision: 'exact' };
  const header: Header = { dtype: 'float32', shape: [N, N], encoding: 'raw', layout: 'dense', exact: true };
  const head = {
    row: 0,
    column: 0,
    layer: 0,
    head: 0,
    name: 'H0',
    values: { $array: 'a' },
    nan: 0,
    above: 0,
    below: 0,
  };
  const json: FigureJson = {
    layout: { kind: 'view', id: '0' },
    views: {
      '0': {
        kind: 'attention',
        props: {
          frame: { title: 'Attention', provenance: [], edits: [] },
          ...{ tokens: tokens(N), key_tokens: null, heads: [head], rows: ['L0'], columns: ['H0'], thumbs: null },
          ...{ thumb_step: 1, reasons: null, peaks: null, scores: null, roles: null, causal: true },
          ...{ probabilities: true, quantity: 'attention probability', scale: { ramp: 'ink', limits: [0, 1] } },
          ...{ row_total: null, open: 0 },
        },
      },
    },
    arrays: { a: header },
    selection: {},
  };
  const el = document.createElement('div');
  document.body.append(el);
  await mountFigure(el, json, { live: false, load: async () => one }, abort.signal);
  root = el.querySelector('.mechviz')!.shadowRoot!;
  await vi.waitFor(() => expect(map()).not.toBeNull());
}

const map = () => root.querySelector<HTMLElement>('.map')!;
const shown = () => root.querySelector('.said p')?.firstChild?.textContent?.trim();
const axis = () => [...map().querySelectorAll('.axis')].map((text) => text.textContent!.trim()).join(' ');
const place = () => map().querySelector('canvas')!.getBoundingClientRect();

function fire(type: string, x: number, y: number, more: PointerEventInit = {}): void {
  map().dispatchEvent(new PointerEvent(type, { clientX: x, clientY: y, bubbles: true, pointerId: 1, ...more }));
}
function wheel(x: number, y: number, deltaY: number, ctrlKey = true): WheelEvent {
  const event = new WheelEvent('wheel', { clientX: x, clientY: y, deltaY, ctrlKey, bubbles: true, cancelable: true });
  map().dispatchEvent(event);
  return event;
}

test('the wheel with Ctrl zooms where the pointer is; alone it scrolls the page until a part is shown', async () => {
  expect(axis()).toContain('max of 2 × 2 cells');
  const box = place();
  // Query 203, key 101.
  const [x, y] = [box.left + (box.width * 101.5) / N, box.top + (box.height * 203.5) / N];
  expect(wheel(x, y, -300, false).defaultPrevented).toBe(false);
  expect(shown()).toBeUndefined();
  for (let i = 0; i < 8; i++) expect(wheel(x, y, -300).defaultPrevented).toBe(true);
  await vi.waitFor(() => expect(shown()).toMatch(/^queries \d+–\d+ of 700, keys \d+–\d+ of 700$/));
  const [top, bottom, , left, right] = shown()!.match(/\d+/g)!.map(Number);
  expect(top <= 203 && 203 <= bottom && left <= 101 && 101 <= right).toBe(true);
  expect(axis()).not.toContain('cells');
  expect(wheel(x, y, -300, false).defaultPrevented).toBe(true);
  map().focus();
  await userEvent.keyboard('0');
  await vi.waitFor(() => expect(shown()).toBeUndefined());
});

test('a drag zooms to what it frames, then moves it, and picks nothing; a spike is where it was', async () => {
  const box = place();
  const at = (query: number, key: number) =>
    [box.left + (box.width * key) / N, box.top + (box.height * query) / N] as const;
  fire('pointerdown', ...at(190, 90));
  fire('pointermove', ...at(200, 100));
  fire('pointermove', ...at(220, 120));
  fire('pointerup', ...at(220, 120));
  map().dispatchEvent(new MouseEvent('click', { clientX: at(220, 120)[0], clientY: at(220, 120)[1], bubbles: true }));
  await vi.waitFor(() => expect(shown()).toBeDefined());
  const [top, bottom, , left] = shown()!.match(/\d+/g)!.map(Number);
  expect([top, left]).toEqual([190, 90]);
  expect(bottom).toBeGreaterThanOrEqual(219);
  // The spike has its colour where its row and column are.
  const canvas = map().querySelector('canvas')!;
  const cell = canvas.height / (bottom - top + 1);
  const pixel = canvas.getContext('2d')!.getImageData((101.4 - left) * cell, (203.4 - top) * cell, 1, 1).data;
  const other = canvas.getContext('2d')!.getImageData((103.4 - left) * cell, (203.4 - top) * cell, 1, 1).data;
  expect(pixel[0]).toBeLessThan(other[0] - 100);
  const now = place();
  fire('pointerdown', now.left + 200, now.top + 200);
  fire('pointermove', now.left + 190, now.top + 195);
  fire('pointermove', now.left + 200 - 3 * cell, now.top + 200 - 2 * cell);
  fire('pointerup', now.left + 200 - 3 * cell, now.top + 200 - 2 * cell);
  await vi.waitFor(() => expect(shown()).toContain(`queries ${top + 2}–`));
  expect(shown()).toContain(`keys ${left + 3}–`);
});

const numbers = () => shown()!.match(/\d+/g)!.map(Number);
/** The part that begins at a query and key is shown, its cells `cell` pixels large; dragged in two steps. */
async function opened(query: number, key: number): Promise<number> {
  const box = place();
  const at = (q: number, k: number) => [box.left + (box.width * k) / N, box.top + (box.height * q) / N] as const;
  fire('pointerdown', ...at(query, key));
  fire('pointermove', ...at(query + 15, key + 15));
  fire('pointermove', ...at(query + 30, key + 30));
  fire('pointerup', ...at(query + 30, key + 30));
  await vi.waitFor(() => expect(shown()).toContain(`queries ${query}–`));
  const [top, bottom] = numbers();
  return place().height / (bottom - top + 1);
}
async function dragged(right: number, down: number): Promise<void> {
  const { left, top } = place();
  const [x, y] = [left + 150, top + 150];
  const before = shown();
  fire('pointerdown', x, y);
  fire('pointermove', x + right + 20, y + down + 20);
  fire('pointermove', x + right, y + down);
  fire('pointerup', x + right, y + down);
  await vi.waitFor(() => expect(shown()).not.toBe(before));
}
const labels = () => [...map().querySelectorAll<SVGTextElement>('text.label')];
const pixels = () => {
  const canvas = map().querySelector('canvas')!;
  return canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height).data;
};

/** Each label stands at the row or column of a token with its text; how many there are. */
function expectInPlace(boxes: { text: string; end: boolean; box: DOMRect }[], cell: number, origin: DOMRect): number {
  const [top, , , left] = numbers();
  for (const { text, end, box } of boxes) {
    const at = end ? (box.top + box.height / 2 - origin.top) / cell : (box.left + box.width / 2 - origin.left) / cell;
    const index = Math.floor(at);
    // In the middle of it, but for what letters have above and below their base line.
    expect(Math.abs(at - index - 0.5) * cell).toBeLessThan(1.5);
    expect(text).toBe(`·t${(index + (end ? top : left)) % 7}`);
  }
  return boxes.length;
}

test('labels move with their rows and columns, to the pixel, and are not made anew; in an SVG they stand there too', async () => {
  const cell = await opened(190, 90);
  const read = (label: Element) => ({
    text: label.textContent!.trim(),
    end: label.classList.contains('end'),
    box: label.getBoundingClientRect(),
  });
  const count = expectInPlace(labels().map(read), cell, place());
  expect(count).toBeGreaterThan(30);
  const before = new Map(labels().map((label) => [label, read(label)]));
  await dragged(-3 * cell, -2 * cell);
  expect(numbers()[0]).toBe(192);
  expect(numbers()[3]).toBe(93);
  expectInPlace(labels().map(read), cell, place());
  const stayed = labels().filter((label) => before.has(label));
  // Of those in sight three columns and two rows went, and as many came.
  expect(stayed.length).toBeGreaterThan(count - 8);
  for (const label of stayed) {
    const [was, is] = [before.get(label)!, read(label)];
    expect(is.text).toBe(was.text);
    expect(is.box.left - was.box.left).toBeCloseTo(is.end ? 0 : -3 * cell, 2);
    expect(is.box.top - was.box.top).toBeCloseTo(is.end ? -2 * cell : 0, 2);
  }

  const figure = root.querySelector('.figure')!;
  const [origin, canvas] = [figure.getBoundingClientRect(), place()];
  const svg = new DOMParser().parseFromString(
    svgOf(figure, { title: 'T', writer: 'w', provenance: {} }),
    'image/svg+xml',
  );
  const drawn = document.importNode(svg.documentElement, true) as unknown as SVGSVGElement;
  drawn.style.cssText = 'position:absolute;left:0;top:0';
  document.body.append(drawn);
  const corner = drawn.getBoundingClientRect();
  const here = new DOMRect(corner.left + canvas.left - origin.left, corner.top + canvas.top - origin.top);
  // Those left of and above the cells, which are the labels of the map.
  const texts = [...drawn.querySelectorAll('text')]
    .map((text) => ({ text: text.textContent!.trim(), box: text.getBoundingClientRect() }))
    .filter(({ text, box }) => /^·t\d$/.test(text) && box.top > here.top - 40 && box.left > here.left - 40)
    .map(({ text, box }) => ({ text, box, end: box.right < here.left }));
  expect(expectInPlace(texts, cell, here)).toBe(labels().length);
  drawn.remove();
});

test('a part that was moved has the colours that it has when it is drawn for the first time, on every scale', async () => {
  const cell = await opened(190, 90);
  await dragged(-3 * cell, -2 * cell);
  const moved = pixels();
  map().focus();
  await userEvent.keyboard('s');
  await vi.waitFor(() => expect(pixels()).not.toEqual(moved));
  const bent = pixels();
  await dragged(5 * cell, 4 * cell);
  await dragged(-5 * cell, -4 * cell);
  expect(numbers().filter((_, i) => i % 3 === 0)).toEqual([192, 93]);
  expect(pixels()).toEqual(bent);
  // Another view of the same, which has drawn nothing else yet.
  abort.abort();
  await mounted();
  expect(await opened(192, 93)).toBe(cell);
  expect(pixels()).toEqual(moved);
  map().focus();
  await userEvent.keyboard('s');
  await vi.waitFor(() => expect(pixels()).toEqual(bent));
});

test('two fingers zoom', async () => {
  const box = place();
  const [x, y] = [box.left + 100, box.top + 250];
  fire('pointerdown', x - 20, y, { pointerId: 1, pointerType: 'touch' });
  fire('pointerdown', x + 20, y, { pointerId: 2, pointerType: 'touch' });
  fire('pointermove', x + 120, y, { pointerId: 2, pointerType: 'touch' });
  await vi.waitFor(() => expect(shown()).toBeDefined());
});

test('g goes to a token, Enter to the next one; arrow keys take the part along', async () => {
  map().focus();
  await userEvent.keyboard('g');
  const input = await vi.waitFor(() => {
    const found = root.querySelector<HTMLInputElement>('.said input');
    expect(found).not.toBeNull();
    return found!;
  });
  await userEvent.type(input, '350{Enter}');
  const inside = (query: number) => {
    const [top, bottom] = shown()!.match(/\d+/g)!.map(Number);
    return top <= query && query <= bottom;
  };
  await vi.waitFor(() => expect(inside(350)).toBe(true));
  await userEvent.clear(input);
  await userEvent.type(input, 't3{Enter}{Enter}'); // positions 3, 10, 17 …
  await vi.waitFor(() => expect(inside(10)).toBe(true));
  expect(root.querySelector('.said span')!.textContent).toBe('2 of 100');
  await userEvent.keyboard('{Escape}');
  expect(root.activeElement).toBe(map());
  for (let i = 0; i < 8; i++) await userEvent.keyboard('{PageDown}');
  await vi.waitFor(() => expect(inside(90)).toBe(true));
});

test('o shows mass instead of the largest weight', async () => {
  map().focus();
  await userEvent.keyboard('o');
  await vi.waitFor(() => expect(axis()).toContain('mass (sum over keys, mean over queries) of 2 × 2 cells'));
});

test('what a tile leaves of a part is covered once, and nothing else', () => {
  const next = random(3);
  const upTo = (n: number) => Math.floor(next() * n);
  for (let run = 0; run < 300; run++) {
    const rows = [upTo(20), 20 + upTo(20)] as const;
    const cols = [upTo(20), 20 + upTo(20)] as const;
    const step = 1 + upTo(3);
    const origin = { query: step * upTo(20), key: step * upTo(20) };
    const tile = { values: new Float32Array(0), rows: 1 + upTo(15), cols: 1 + upTo(15), step, origin };
    const seen = new Uint8Array(60 * 60);
    for (const [down, across] of beside(rows, cols, run % 10 ? tile : undefined)) {
      for (let q = down[0]; q < down[1]; q++) for (let k = across[0]; k < across[1]; k++) seen[q * 60 + k]++;
    }
    const wanted = seen.map((_, i) => {
      const [q, k] = [Math.floor(i / 60), i % 60];
      const inside = q >= rows[0] && q < rows[1] && k >= cols[0] && k < cols[1];
      const [r, c] = [(q - origin.query) / step, (k - origin.key) / step];
      const covered = run % 10 && r >= 0 && r < tile.rows && c >= 0 && c < tile.cols;
      return inside && !covered ? 1 : 0;
    });
    expect(seen).toEqual(wanted);
  }
});

test('what is asked for has a margin where that is cheap, and stays until the part comes near its edge', () => {
  const part = (from: number, size: number, step = 1) => ({
    step,
    rows: [from, from + size] as const,
    cols: [from, from + size] as const,
  });
  const first = regionOf(undefined, part(1000, 100), 32768, 32768);
  expect(first).toEqual({ step: 1, rows: [800, 1300], cols: [800, 1300] });
  expect(regionOf(first, part(1100, 100), 32768, 32768)).toBe(first);
  const next = regionOf(first, part(1101, 100), 32768, 32768);
  expect(next.rows).toEqual([901, 1401]);
  // At the ends there is nothing beyond; of a large part nothing beside it is asked for; another step is another region.
  expect(regionOf(undefined, part(0, 100), 150, 120)).toEqual({ step: 1, rows: [0, 150], cols: [0, 120] });
  expect(regionOf(undefined, part(64, 4096, 16), 32768, 32768).rows).toEqual([64, 4160]);
  expect(regionOf(first, part(1000, 100, 2), 32768, 32768).step).toBe(2);
  const next3 = random(9);
  let before: Region | undefined;
  for (let run = 0; run < 500; run++) {
    const size = 1 + Math.floor(next3() * 3000);
    const shown = part(Math.floor(next3() * (32768 - size)), size);
    const kept: Region | undefined = before;
    before = regionOf(kept, shown, 32768, 32768);
    const [rows, cols] = [before.rows[1] - before.rows[0], before.cols[1] - before.cols[0]];
    expect(before.rows[0] <= shown.rows[0] && before.rows[1] >= shown.rows[1]).toBe(true);
    const few = rows <= Math.max(2048, size) && rows * cols <= Math.max(810_000, size ** 2);
    expect(before === kept || few).toBe(true);
    const tile = {
      values: new Float32Array(0),
      rows,
      cols,
      step: 1,
      origin: { query: before.rows[0], key: before.cols[0] },
    };
    expect(covers(tile, shown)).toBe(true);
    expect(covers({ ...tile, done: rows - 1 }, shown)).toBe(false);
    expect(covers({ ...tile, rows: shown.rows[1] - before.rows[0] - 1 }, shown)).toBe(false);
  }
});
