/** Image tokens in the attention view: drawn over their picture, pointed at, walked over, read out. */
import axe from 'axe-core';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { page, userEvent } from 'vitest/browser';
import type { Backend } from '../src/backend';
import { colorAt, lut, type Rgb } from '../src/color';
import type { Figure, FigureJson } from '../src/figure.svelte';
import '../src/labviews';
import { mountFigure } from '../src/mount';
import { labelOf, spoken } from '../src/parts/label';
import { spansOf, wordsOf } from '../src/parts/mergedtokens';
import { foldOf } from '../src/parts/patchfold';
import { imagesIn, placeOf, resampled, shading, sized, walked, weightsOf, type ImageJson } from '../src/parts/patches';
import type { TokensJson } from '../src/views/types';
import type { Header, NdArray } from '../src/wire';

const [ROWS, COLUMNS] = [2, 3];
const N = 1 + ROWS * COLUMNS;
let abort: AbortController;
let root: ShadowRoot;
let figure: Figure;

beforeEach(async () => {
  await page.viewport(1000, 1200);
  await userEvent.hover(document.documentElement, { position: { x: 990, y: 1190 } });
});
afterEach(() => {
  abort.abort();
  document.body.replaceChildren();
  document.body.removeAttribute('style');
});

const words = (count: number, patches: [number, number, number][]): TokensJson => ({
  text: Array.from({ length: count }, (_, i) => `t${i}`),
  label: Array.from({ length: count }, (_, i) => `t${i}`),
  group: Array.from({ length: count }, (_, i) => i),
  // As the image tokens of a text are.
  special: Array.from({ length: count }, (_, i) => i > 0),
  role: Array.from({ length: count }, (_, i) => (i ? null : 'CLS')),
  ids: null,
  piece: Array.from({ length: count }, () => ''),
  patches,
});
const IMAGE: ImageJson = { query: 1, key: 1, rows: ROWS, columns: COLUMNS, pixels: null, size: [300, 200], said: '' };

/** Row q reads key k with a weight that says both. */
const weight = (q: number, k: number) => (q + 1) / 100 + k / 1000;
/** Of the row's maximum: with a picture that is the scale at first. */
const share = (q: number, k: number) => weight(q, k) / weight(q, N - 1);

interface Options {
  causal?: boolean;
  picture?: boolean;
  image?: Partial<ImageJson>;
  dark?: boolean;
  /** What the kernel has of a row. */
  answer?(query: number): number[];
}

async function show({ causal = false, picture = true, image = {}, dark, answer }: Options = {}) {
  if (dark) document.body.style.background = '#111';
  const pixels = new Uint8Array(200 * 300 * 3);
  for (let i = 0; i < 200 * 300; i++) {
    const checks = (Math.floor((i % 300) / 10) + Math.floor(i / 3000)) % 2;
    pixels.set([checks ? 200 : 40, checks ? 180 : 60, 90], 3 * i);
  }
  const arrays: Record<string, NdArray> = {
    head: {
      data: Float64Array.from({ length: N * N }, (_, i) => weight(Math.floor(i / N), i % N)),
      shape: [N, N],
      precision: answer ? 'float16' : 'exact',
    },
    peaks: { data: Float64Array.from([0.1]), shape: [1], precision: 'exact' },
    picture: { data: pixels, shape: [200, 300, 3], precision: 'exact' },
  };
  const header: Header = { dtype: 'float32', shape: [], encoding: 'raw', layout: 'dense', exact: true };
  abort = new AbortController();
  const backend: Backend = {
    live: !!answer,
    load: async (id) => arrays[id],
    ask: async (_view, _name, args) => {
      const data = Float64Array.from(answer!((args as { query: number }).query));
      return { value: null, arrays: [{ data, shape: [data.length], precision: 'exact' }] };
    },
  };
  const json = {
    layout: { kind: 'view', id: '0' } as const,
    views: {
      '0': {
        kind: 'attention',
        props: {
          frame: { title: 'Attention', provenance: ['toy'], edits: [] },
          tokens: words(N, [[1, ROWS, COLUMNS]]),
          key_tokens: null,
          heads: [
            {
              ...{ row: 0, layer: 0, column: 0, head: 0, name: 'L0H0', nan: 0, above: 0, below: 0 },
              values: { $array: 'head' },
            },
          ],
          rows: ['L0'],
          columns: ['H0'],
          thumbs: null,
          thumb_step: 1,
          reasons: null,
          peaks: { $array: 'peaks' },
          scores: null,
          roles: null,
          causal,
          probabilities: true,
          quantity: 'attention probability',
          scale: { ramp: 'ink', limits: [0, 0.1] },
          row_total: null,
          open: 0,
          images: [{ ...IMAGE, pixels: picture ? { $array: 'picture' } : null, ...image }],
        },
      },
    },
    arrays: Object.fromEntries(Object.keys(arrays).map((id) => [id, { ...header, lazy: id === 'picture' }])),
    selection: {},
  } as unknown as FigureJson;
  const el = document.createElement('div');
  document.body.append(el);
  figure = await mountFigure(el, json, backend, abort.signal);
  root = el.querySelector('.mechviz')!.shadowRoot!;
  await vi.waitFor(() => expect(over()).not.toBeNull());
  await vi.waitFor(() => expect(canvas().width).toBeGreaterThan(100));
  await settled();
}

const over = () => root.querySelector<HTMLElement>('.patches')!;
const canvas = () => over().querySelector('canvas')!;
const caption = () => root.querySelector('.images figcaption')!.textContent!.replace(/\s+/g, ' ').trim();
const heard = () => root.querySelector('[aria-live]')!.textContent!;
const settled = (wait = 20) => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, wait)));
const button = (name: string) => [...root.querySelectorAll('button')].find((b) => b.textContent!.trim() === name)!;

function spot(patch: number): { x: number; y: number } {
  const { width, height } = over().getBoundingClientRect();
  return {
    x: ((patch % COLUMNS) + 0.4) * (width / COLUMNS),
    y: (Math.floor(patch / COLUMNS) + 0.4) * (height / ROWS),
  };
}
const hover = (patch: number) => userEvent.hover(over(), { position: spot(patch) });
const click = (patch: number, options = {}) => userEvent.click(over(), { position: spot(patch), ...options });

/** The mean colour of a patch, as it is drawn. */
function colour(patch: number): { mean: Rgb; opaque: boolean; spread: number } {
  const { width, height } = canvas();
  const [w, h] = [Math.floor(width / COLUMNS), Math.floor(height / ROWS)];
  const box = [(patch % COLUMNS) * w + 4, Math.floor(patch / COLUMNS) * h + 4, w - 8, h - 8] as const;
  const { data } = canvas()
    .getContext('2d')!
    .getImageData(...box);
  const mean: Rgb = [0, 0, 0];
  let [least, most, opaque] = [255, 0, true];
  for (let i = 0; i < data.length; i += 4) {
    for (let c = 0; c < 3; c++) mean[c] += (data[i + c] * 4) / data.length;
    [least, most] = [Math.min(least, data[i + 2]), Math.max(most, data[i + 2])];
    opaque &&= data[i + 3] === 255;
  }
  return { mean, opaque, spread: most - least };
}

test('the open row lies over the picture, and hovering a patch asks for its row', async () => {
  await show();
  // CLS is asked about at first, not the last patch.
  await userEvent.click(button('weights'));
  const table = lut(figure.host, 'ink');
  const expected = (q: number, k: number) => colorAt(table, share(q, k));
  for (let patch = 0; patch < 6; patch++) expect(colour(patch).mean.map(Math.round)).toEqual(expected(0, 1 + patch));
  expect(caption()).toContain('0.0810 of the row on this image'); // six weights of 0.011 … 0.016
  await hover(4);
  await settled();
  for (let patch = 0; patch < 6; patch++) expect(colour(patch).mean.map(Math.round)).toEqual(expected(5, 1 + patch));
  expect(figure.hover.position).toBe(5);
  expect(root.querySelectorAll('.patches .subject')).toHaveLength(1);
});

test('something picked stays the question: hovering a patch then reads its weight', async () => {
  await show();
  await click(2); // position 3
  expect(figure.selection.queries).toEqual([3]);
  await hover(5);
  await settled();
  expect(figure.hover).toMatchObject({ query: 3, key: 6 });
  expect(caption()).toContain('row 1, column 2 0.0460');
  expect(heard()).toContain('patch row 0, column 2 reads'); // what was picked is told, not what the pointer passes over
  // The same cell in the map, and back: what is hovered there is framed here.
  expect(root.querySelector('.map .cell')!.getAttribute('d')).not.toBe('');
  figure.hover = { query: 3, key: 2 };
  await settled();
  expect(caption()).toContain('row 0, column 1 0.0420');
  // With Shift the cell is picked; the same patch once more lets go.
  await click(5, { modifiers: ['Shift'] });
  expect([figure.selection.queries, figure.selection.keys]).toEqual([[3], [6]]);
  await click(2);
  await click(2);
  expect(figure.selection.queries).toEqual([]);
});

test('the other direction: who reads the patch', async () => {
  await show();
  await userEvent.click(button('is read by'));
  await hover(0); // key 1
  await settled();
  // Its patches read it with 0.021 … 0.071 for queries 1 … 6, and 0.001 for the key.
  expect(caption()).toContain('mean over its patches 0.0460');
  await userEvent.click(button('weights'));
  await hover(0);
  await settled();
  expect(colour(5).mean.map(Math.round)).toEqual(colorAt(lut(figure.host, 'ink'), share(6, 1)));
});

test('arrow keys walk over patches, Enter picks, Esc lets go', async () => {
  await show();
  over().focus();
  expect(over().getAttribute('aria-label')).toContain(
    'image 1, 2 rows by 3 columns of patches; patch row 1, column 2, 0.0160', // what CLS reads most
  );
  await userEvent.keyboard('{ArrowUp}{ArrowRight}{ArrowLeft}{ArrowRight}{ArrowRight}'); // the edge holds
  expect(figure.hover.position).toBe(3);
  await userEvent.keyboard('{ArrowDown}');
  expect(figure.hover.position).toBe(6);
  expect(over().getAttribute('aria-label')).toContain('patch row 1, column 2');
  await vi.waitFor(() => expect(heard()).toContain('patch row 1, column 2 reads patch row 1, column 2 0.0760'));
  await userEvent.keyboard('{Home}{Enter}');
  expect(figure.selection.queries).toEqual([4]);
  await userEvent.keyboard('{ArrowUp}');
  expect(figure.hover).toMatchObject({ query: 4, key: 1 });
  await userEvent.keyboard('{Escape}');
  expect(figure.selection.queries).toEqual([]);
});

test.each([false, true])('the picture is seen in the shading, and alone; dark %s', async (dark) => {
  await show({ dark });
  await vi.waitFor(() => expect(colour(0).spread).toBeGreaterThan(20));
  const table = lut(figure.host, 'ink');
  const wanted = colorAt(table, share(0, 2));
  colour(1).mean.forEach((channel, c) => expect(Math.abs(channel - wanted[c])).toBeLessThan(16));
  await userEvent.keyboard('i');
  await userEvent.click(button('picture'));
  await settled();
  expect(colour(3).mean[2]).toBeCloseTo(90, 0);
  await userEvent.click(button('weights'));
  await settled();
  expect(colour(0).spread).toBe(0);
});

test('what the mask leaves out is not drawn, and says so', async () => {
  await show({ causal: true });
  await userEvent.click(button('weights'));
  await click(2); // query 3 sees keys 0 … 3: patches 0, 1, 2
  await settled();
  expect(colour(2).opaque).toBe(true);
  expect(colour(3).mean).toEqual([0, 0, 0]);
  await hover(4);
  await settled();
  expect(over().getAttribute('aria-label')).not.toContain('NaN');
  expect(caption()).toContain('0.1260 of the row'); // 0.041 + 0.042 + 0.043
});

test('live, the numbers are the kernel’s, without an error; in a file they say it', async () => {
  await show({ answer: (query) => Array.from({ length: N }, (_, key) => 0.5 + query / 100 + key / 1000) });
  await hover(1); // position 2, and 0.521 … 0.526 for keys 1 … 6
  await vi.waitFor(() => expect(caption()).toContain('3.1410 of the row'));
  expect(caption()).toContain('row 1, column 2 0.5260 ');
});

test('what is left out: CLS, and never the patches, though they are special tokens', async () => {
  await show();
  await userEvent.click(button('weights'));
  await click(3);
  const before = caption();
  over().focus();
  await userEvent.keyboard('x');
  await settled(100);
  expect(root.querySelector('.note')!.textContent).toContain('dimmed: first token');
  expect(caption()).toBe(before);
  await userEvent.keyboard('x');
  await settled(100);
  expect(root.textContent).toContain('renormalised');
  for (let patch = 0; patch < 6; patch++) expect(colour(patch).opaque).toBe(true);
  expect(caption()).not.toBe(before); // the same weights, shared out anew
  expect(caption()).not.toContain('NaN');
});

test('merged to words, patches stay what they are', async () => {
  await show();
  await userEvent.click(button('weights'));
  over().focus();
  await userEvent.keyboard('w');
  await settled(100);
  await hover(4);
  await settled();
  expect(figure.hover.position).toBe(5);
  expect(colour(0).mean.map(Math.round)).toEqual(colorAt(lut(figure.host, 'ink'), share(5, 1)));
  const tokens = words(12, [[4, 2, 3]]);
  tokens.special.fill(false);
  const units = wordsOf(tokens); // t0t1t2t3, six patches, t10t11
  expect(units.tokens.patches).toEqual([[1, 2, 3]]);
  expect([...units.edges]).toEqual([0, 4, 5, 6, 7, 8, 9, 10, 12]);
  const [image] = imagesIn([{ ...IMAGE, query: 4, key: 4 }], { rows: units, cols: units })!;
  expect([image.query, image.key]).toEqual([1, 1]);
  const spans = spansOf(tokens, { edges: [0, 6, 12], names: ['a', 'b'] });
  expect(imagesIn([{ ...IMAGE, query: 4, key: 4 }], { rows: spans, cols: spans })).toEqual([]);
});

test('a grid of patches without a picture, and keys that are text', async () => {
  await show({ picture: false, image: { size: null } });
  expect(button('weights')).toBeUndefined();
  expect(colour(0).spread).toBe(0);
  expect(caption()).toContain('2 × 3 patches');
  abort.abort();
  document.body.replaceChildren();
  await show({ image: { key: null } });
  expect(caption()).toContain('no weights here in this direction');
  await hover(1);
  expect(figure.hover.position).toBe(2);
});

test('in the text an image is one word; in lists and for those who hear it a patch is a row and a column', async () => {
  await show();
  const shown = [...root.querySelectorAll('.tokens [role=option]')].map((token) => token.textContent);
  expect(shown).toEqual(['t0', 'image 2 × 3']);
  await userEvent.hover(root.querySelector<HTMLElement>('.tokens [data-i="1"]')!);
  expect(figure.hover).toEqual({});
  const cells = [...root.querySelectorAll('section[aria-label="read-out"] td.token')].map((td) =>
    td.textContent!.trim(),
  );
  expect(cells).toEqual(['1,2', '1,1', '1,0', '0,2', '0,1']);
});

test('nothing for axe to find', async () => {
  await show();
  const found = await axe.run(root.host as HTMLElement, { rules: { region: { enabled: false } } });
  expect(found.violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)])).toEqual([]);
});

test('places, walks and sizes', () => {
  const tokens = words(20, [[1, 2, 3], [8, 3, 3]]); // prettier-ignore
  expect(placeOf(tokens, 0)).toBeUndefined();
  expect(placeOf(tokens, 5)).toEqual({ image: 0, row: 1, column: 1 });
  expect(placeOf(tokens, 16)).toEqual({ image: 1, row: 2, column: 2 });
  expect(placeOf(tokens, 17)).toBeUndefined();
  expect(spoken(tokens, 16)).toBe('image 2, patch row 2, column 2');
  expect(spoken(words(8, [[1, 2, 3]]), 6)).toBe('patch row 1, column 2');
  expect(labelOf(tokens, 5)).toMatchObject({ role: true, text: '1,1' });
  expect(walked(IMAGE, 4, 'ArrowUp')).toBe(1);
  expect(walked(IMAGE, 1, 'ArrowUp')).toBe(1);
  expect(walked(IMAGE, 4, 'End')).toBe(5);
  expect(walked(IMAGE, 4, 'PageUp')).toBe(1);
  expect(walked(IMAGE, 4, 'a')).toBeUndefined();
  expect(sized(IMAGE, 150)).toEqual([150, 100]);
  expect(sized({ ...IMAGE, size: null, columns: 4 }, 100)).toEqual([100, 50]);
  expect(weightsOf(IMAGE, 1, { start: 0, values: [9, 1, 2] })).toEqual({ from: 0, to: 2, values: [1, 2] });
  expect(weightsOf(IMAGE, 1, { start: 3, values: [5, 6, 7, 8, 9, 9] })).toEqual({
    from: 2,
    to: 6,
    values: [5, 6, 7, 8],
  });
  expect(weightsOf(IMAGE, null, { start: 0, values: [1] }).values).toEqual([]);
});

test('a text with images folded, and where its positions stand', () => {
  const fold = foldOf(words(20, [[1, 2, 3], [8, 3, 3]])); // prettier-ignore
  expect(fold.tokens.label).toEqual(['t0', 'image 2 × 3', 't7', 'image 3 × 3', 't17', 't18', 't19']);
  expect(fold.tokens.group).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect([0, 1, 6, 7, 8, 17].map(fold.to)).toEqual([0, 1, 1, 2, 3, 4]);
  expect([0, 1, 2, 6].map(fold.from)).toEqual([0, undefined, 7, 19]);
  const plain = words(3, []);
  expect(foldOf(plain).tokens).toBe(plain);
});

test('shading is of what differs from its surroundings, whatever the light', () => {
  const picture = (low: number, high: number): NdArray => ({
    data: Uint8Array.from({ length: 64 * 64 }, (_, i) => (((i >> 3) + (i >> 9)) % 2 ? high : low)),
    shape: [64, 64],
    precision: 'exact',
  });
  const shades = ([low, high]: [number, number]) => shading(resampled(picture(low, high), 64, 64), 64, 64, 8, 8);
  const [dark, pale] = [shades([4, 24]), shades([230, 250])];
  expect(Math.max(...dark)).toBeGreaterThan(12);
  expect(Array.from(pale)).toEqual(Array.from(dark));
  expect(Math.abs(dark.reduce((a, b) => a + b, 0) / dark.length)).toBeLessThan(1);
  expect(new Set(shades([90, 91]))).toEqual(new Set([0])); // noise is no picture
  const colours = resampled({ data: Uint8Array.from([255, 0, 9]), shape: [1, 1, 3], precision: 'exact' }, 2, 1);
  expect([...colours]).toEqual([255, 0, 9, 255, 0, 9]);
});
