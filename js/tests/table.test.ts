/** Tables of an attention view: what stands in them, and that a spreadsheet takes none of it for a formula. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { page, userEvent } from 'vitest/browser';
import { csvOf, digitsOf } from '../src/export/csv';
import { lineTable, tileTable } from '../src/parts/attentiontable';
import type { TokensJson } from '../src/views/types';
import { causalRows, mountAttention, type Mounted, type Shown } from './attentionview';

/** A reader of its own, by the rules of RFC 4180. */
function parsed(text: string): string[][] {
  let rows: string[][] = [];
  let [row, field, quoted]: [string[], string, boolean] = [[], '', false];
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted && c === '"' && text[i + 1] === '"') field += text[++i];
    else if (c === '"') quoted = !quoted;
    else if (quoted || (c !== ',' && c !== '\r' && c !== '\n')) field += c;
    else if (c !== '\r') {
      row.push(field);
      field = '';
      if (c === '\n') [rows, row] = [[...rows, row], []];
    }
  }
  return rows;
}

const tokens = (...label: string[]) => ({ label }) as unknown as TokensJson;
const HOSTILE = ['=SUM(A1:A9)', '+1', '-2', '@x', '\ttab', '＝1', 'a "quoted", comma', 'two\r\nlines', '⟨F0⟩', '·a'];

test('whatever a token is, it comes back as it was and runs nothing', () => {
  const rows = parsed(csvOf([['token', 'value'], ...HOSTILE.map((token, i) => [token, -i / 8])]));
  expect(rows.map(([token]) => token).slice(1)).toEqual(HOSTILE.map((t, i) => (i < 6 ? `'${t}` : t)));
  expect(rows.map(([, value]) => value).slice(1)).toEqual(HOSTILE.map((_, i) => String(-i / 8)));
  expect(csvOf([[NaN, Infinity, -Infinity, undefined, 1e-7]])).toBe('NaN,inf,-inf,,1e-7\r\n');
});

test('a float32 has as few digits as give it back, other numbers all of theirs', () => {
  const values = Float32Array.of(0.1, 1 / 3, 1e-20, 16777217, 0, NaN);
  const digits = Array.from(values, (_, i) => digitsOf(values, i));
  expect(digits.slice(0, 5)).toEqual([0.1, 0.33333334, 1e-20, 16777216, 0]);
  expect(Float32Array.from(digits)).toEqual(values);
  expect(digitsOf(Float64Array.of(1 / 3), 0)).toBe(1 / 3);
});

const ABOUT = { head: 'L1H0', quantity: 'attention probability', notes: ['edited: L0H0 → zero', 'renormalised'] };

test('a row and a column, one line a weight, each with all that it is', () => {
  const [queries, keys] = [tokens('a', 'b'), tokens('x', 'y', 'z')];
  const line = { start: 1, values: Float64Array.of(0.25, 0.5) };
  const [names, ...rows] = lineTable({ ...ABOUT, queries, keys }, 'from', 1, line, () => 1e-3);
  expect(names).toEqual('head,quantity,query,query token,key,key token,value,error at most,notes'.split(','));
  expect(rows).toEqual([
    ['L1H0', 'attention probability', 1, 'b', 1, 'y', 0.25, 1e-3, 'edited: L0H0 → zero; renormalised'],
    ['L1H0', 'attention probability', 1, 'b', 2, 'z', 0.5, 1e-3, 'edited: L0H0 → zero; renormalised'],
  ]);
  const image = { label: ['<i>', '<i>', 'b'], patches: [[0, 1, 2]] } as unknown as TokensJson;
  const patches = lineTable({ ...ABOUT, queries: image, keys: image }, 'from', 2, line, () => 0);
  expect(patches.slice(1).map((row) => row[5])).toEqual(['patch row 0, column 1', 'b']);
  const column = lineTable({ ...ABOUT, queries, keys }, 'by', 2, { start: 0, values: [0.1, 0.2] }, () => 0).slice(1);
  expect(column.map((row) => row.slice(2, 7))).toEqual([
    [0, 'a', 2, 'z', 0.1],
    [1, 'b', 2, 'z', 0.2],
  ]);
});

test('the cells of a map, with the mask left empty; pooled ones by the tokens that they stand for', () => {
  const three = tokens('a', 'b', 'a');
  const about = { ...ABOUT, notes: [], queries: three, keys: three };
  const values = Float32Array.of(1, 9, 9, 0.25, 0.75, 9, 0.1, 0.2, 0.7);
  const tile = { values, rows: 3, cols: 3, step: 1, origin: { query: 0, key: 0 } };
  expect([...tileTable(about, tile, true)]).toEqual([
    ['L1H0; attention probability', 'query token', '0 a', '1 b', '2 a'],
    [0, 'a', 1, undefined, undefined],
    [1, 'b', 0.25, 0.75, undefined],
    [2, 'a', 0.1, 0.2, 0.7],
  ]);
  const pooled = { values: Float32Array.of(1, 9, 0.2, 0.7), rows: 2, cols: 2, step: 2, origin: { query: 0, key: 0 } };
  expect([...tileTable(about, pooled, true, 'max of 2 × 2 cells')]).toEqual([
    ['L1H0; attention probability; max of 2 × 2 cells', 'query token', '0-1 a … b', '2 a'],
    ['0-1', 'a … b', 1, undefined],
    [2, 'a', 0.2, 0.7],
  ]);
});

let abort: AbortController;
let at: Mounted;
let saved: { name: string; text: Promise<string> }[];

beforeEach(async () => {
  abort = new AbortController();
  await page.viewport(956, 900);
  await userEvent.hover(document.documentElement, { position: { x: 950, y: 890 } });
  saved = [];
  const blobs = new Map<string, Blob>();
  vi.spyOn(URL, 'createObjectURL').mockImplementation((blob) => {
    const url = `blob:${blobs.size}`;
    blobs.set(url, blob as Blob);
    return url;
  });
  vi.spyOn(HTMLAnchorElement.prototype, 'click').mockImplementation(function (this: HTMLAnchorElement) {
    saved.push({ name: this.download, text: blobs.get(this.getAttribute('href')!)!.text() });
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  abort.abort();
  document.body.replaceChildren();
});

const WORDS = ['<s>', '=1+1', ' Mary', ' and'];
const HEAD = causalRows(4, (q) => q - 1);

async function show(options: Partial<Shown> = {}) {
  at = await mountAttention({ heads: [HEAD], words: WORDS, ...options }, abort.signal);
}

async function choose(label: string): Promise<string[][]> {
  const before = saved.length;
  await userEvent.click(at.root.querySelector<HTMLElement>('.export > button')!);
  const item = [...at.root.querySelectorAll<HTMLElement>('[role=menuitem]')].find((b) => b.textContent === label)!;
  await userEvent.click(item);
  await vi.waitFor(() => expect(saved.length).toBe(before + 1));
  return parsed(await saved.at(-1)!.text);
}

test('the export menu saves the row that is picked, and the map', async () => {
  await show({ more: { frame: { title: 'Attention', provenance: [], edits: ['L0H1 → zero'] } } });
  at.figure.pick({ queries: [3], keys: [], positions: [3] });
  const row = await choose('CSV, the row');
  expect(saved[0].name).toBe('attention-l0h0-row-3.csv');
  expect(row.slice(1).map((line) => line[5])).toEqual(['<s>', "'=1+1", '·Mary', '·and']);
  expect(row.slice(1).map((line) => Number(line[6]))).toEqual(HEAD.slice(12));
  expect(row[1].slice(0, 4)).toEqual(['L0H0', 'attention probability', '3', '·and']);
  expect(row[1].at(-1)).toContain('edited: L0H1 → zero');
  const map = await choose('CSV, the map');
  expect(saved[1].name).toBe('attention-l0h0-map.csv');
  expect(map[0].slice(1)).toEqual(['query token', '0 <s>', '1 =1+1', '2 ·Mary', '3 ·and']);
  expect(map.slice(1).map((line) => line.slice(2).map((cell) => (cell ? Number(cell) : null)))).toEqual(
    [0, 1, 2, 3].map((q) => [0, 1, 2, 3].map((k) => (k > q ? null : HEAD[4 * q + k]))),
  );
});

test('live, the kernel is asked for the very numbers of the cells that are shown', async () => {
  const near = HEAD.map((value) => Math.round(value * 16) / 16); // as it might travel
  await show({
    heads: [near],
    precision: 'sqrt8',
    ask: (name, args) => {
      const data = name === 'cells' ? Float32Array.from(HEAD) : Float64Array.from(HEAD.slice(12));
      expect(name === 'cells' ? args.pooling : 'max').toBe('max');
      return { value: {}, arrays: [{ data, shape: [data.length], precision: 'exact' }] };
    },
  });
  const map = await choose('CSV, the map');
  expect(map[0][0]).toBe('L0H0; attention probability; exact');
  expect(map.slice(1).map((line) => line.slice(2, 5).map((cell) => (cell ? Math.fround(Number(cell)) : null)))).toEqual(
    [0, 1, 2, 3].map((q) => [0, 1, 2].map((k) => (k > q ? null : Math.fround(HEAD[4 * q + k])))),
  );
});

test('the column, and the lines; a map of pooled cells says its rule', async () => {
  await show({ more: { drawing: 'lines' } });
  at.root.querySelector<HTMLElement>('.lines')!.focus();
  await userEvent.keyboard('t');
  const column = await choose('CSV, the column');
  expect(column.slice(1).map((line) => [line[2], line[4]])).toEqual([['3', '3']]);
  const shown = await choose('CSV, the map');
  expect(shown).toHaveLength(5);
  abort.abort();
  document.body.replaceChildren();
  abort = new AbortController();
  const n = 1200;
  const words = Array.from({ length: n }, (_, i) => ` t${i}`);
  await show({ heads: [causalRows(n, (q) => q - 1)], words, precision: 'sqrt8' });
  const pooled = await choose('CSV, the map');
  const step = Number(/max of (\d+) × \1 cells/.exec(pooled[0][0])![1]);
  expect(step).toBeGreaterThan(1);
  expect(pooled[0][0]).toContain('8-bit square root: at most ± 0.004 at 1');
  expect(pooled[1].slice(0, 2)).toEqual([`0-${step - 1}`, `·t0 … ·t${step - 1}`]);
});
