/** The score of a pinned cell by dimension: from factors that travelled, from a kernel, or why not. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { page, userEvent } from 'vitest/browser';
import { bySize, isNone, ofFactors, stepsOf, type Products } from '../src/parts/cellproducts';
import type { FactorsJson } from '../src/pattern/factored';
import { causalRows, mountAttention, type Mounted, type Shown } from './attentionview';
import { random } from './random';

const N = 6;
const DIM = 5;

function factors(more: Partial<FactorsJson> = {}, dim = DIM): FactorsJson {
  const next = random(7);
  const nd = (rows: number, cols: number) => ({
    ...{ data: Float32Array.from({ length: rows * cols }, () => 2 * next() - 1), shape: [rows, cols] },
    precision: 'float16' as const,
  });
  const [queries, keys] = [nd(N, dim), nd(N, dim)];
  const normaliser = { data: new Float32Array(N).fill(1.25), shape: [N], precision: 'float32' as const };
  return {
    ...{ queries, keys, normaliser, sink: null, mask: null, causal: true, window: null, offset: 0, softcap: null },
    ...{ error: 4e-4, precision: 'float16', ...more },
  };
}
const dot = (json: FactorsJson, query: number, key: number, from = 0, to = json.queries.shape[1]) => {
  let sum = 0;
  const dim = json.queries.shape[1];
  for (let d = from; d < to; d++) sum += json.queries.data[query * dim + d] * json.keys.data[key * dim + d];
  return sum;
};

test('terms add up to the score and the score to the weight', () => {
  const json = factors();
  const found = ofFactors(json, { query: 4, key: 2 }) as Products;
  expect(found.terms).toHaveLength(DIM);
  expect(found.score).toBeCloseTo(dot(json, 4, 2), 6);
  expect(found.weight).toBeCloseTo(Math.exp(dot(json, 4, 2) - 1.25), 6);
  expect([found.centred, found.bias, found.capped, found.error]).toEqual([true, null, null, 4e-4]);
  expect(stepsOf(found).map(([what]) => what)).toEqual(['q·k', 'less the log of the row’s sum']);
  const capped = ofFactors(factors({ softcap: 0.5 }), { query: 4, key: 2 }) as Products;
  expect(capped.score).toBeCloseTo(0.5 * Math.tanh(dot(json, 4, 2) / 0.5), 6);
  expect(capped.centred).toBe(false);
  // The last two columns of factors with a bias are no dimensions.
  const long = factors({ biased: true }, DIM + 2);
  const biased = ofFactors(long, { query: 4, key: 2 }) as Products;
  expect(biased.terms).toHaveLength(DIM);
  expect(biased.bias).toBeCloseTo(dot(long, 4, 2, DIM), 6);
  expect(biased.score).toBeCloseTo(dot(long, 4, 2), 6);
  expect(stepsOf(biased).map(([what]) => what)).toEqual([
    'q·k',
    'position bias',
    'score',
    'less the log of the row’s sum',
  ]);
});

test('what the mask leaves out has no score, a sink no key', () => {
  const hidden = { data: Uint8Array.of(1, 1, 0, 1, 1, 1), shape: [N], precision: 'exact' as const };
  for (const [more, cell] of [
    [{}, { query: 2, key: 4 }],
    [{ window: 2 }, { query: 4, key: 2 }],
    [{ mask: hidden }, { query: 4, key: 2 }],
  ] as const)
    expect(ofFactors(factors(more), cell)).toMatchObject({ score: null, weight: 0 });
  expect(isNone(ofFactors(factors(), { query: 2, key: N }))).toBe(true);
  expect(bySize([0.5, -2, 0.5, 1]).map(({ dimension }) => dimension)).toEqual([1, 3, 0, 2]);
});

let abort: AbortController;
let at: Mounted;
const WORDS = ['<s>', 'When', ' Mary', ' and', ' John', ' gave'];

beforeEach(async () => {
  abort = new AbortController();
  await page.viewport(956, 900);
  await userEvent.hover(document.documentElement, { position: { x: 950, y: 890 } });
});
afterEach(() => {
  abort.abort();
  document.body.replaceChildren();
});

async function show(options: Partial<Shown> = {}) {
  at = await mountAttention({ heads: [causalRows(N, (q) => q - 1)], words: WORDS, ...options }, abort.signal);
  at.root.querySelector<HTMLElement>('.map')!.focus();
  await userEvent.keyboard('q');
}
const section = () => at.root.querySelector('section[aria-label="q·k by dimension"]')!;
const said = () => section().textContent!.replace(/\s+/g, ' ').trim();
const pin = (query: number, key: number) => at.figure.pick({ queries: [query], keys: [key], positions: [query] });

const ANSWER = {
  ...{ scale: 0.125, softcap: null, capped: null, bias: -0.5, score: 2.25, log_sum: 2.6, weight: 0.7046 },
};
const terms = Float64Array.of(0.25, -1, 2, 0.5, 0.125, 0.4, 0.3, 0.175);

test('live, the pinned cell is asked about once: terms by size, the rest, and what their sum becomes', async () => {
  await show({
    ask: () => ({ value: ANSWER, arrays: [{ data: terms, shape: [8], precision: 'exact' }] }),
  });
  expect(said()).toBe('q·k of L0H0 Pin a cell to see which dimensions of the head its score comes from.');
  pin(4, 3);
  await vi.waitFor(() => expect(section().querySelectorAll('tbody tr').length).toBeGreaterThan(0));
  const rows = [...section().querySelectorAll('tbody tr')].map((row) =>
    [...row.querySelectorAll('td')].map((cell) => cell.textContent!.trim()).filter(Boolean),
  );
  expect(rows).toEqual([
    ['2', '2.000'],
    ['1', '−1.000'],
    ['3', '0.500'],
    ['5', '0.400'],
    ['6', '0.300'],
    ['0', '0.250'],
    ['2 other dimensions, sum', '0.300'],
    ['q·k × 0.125', '2.750'],
    ['position bias', '−0.500'],
    ['score', '2.250'],
    ['less the log of the row’s sum', '2.600'],
    ['weight, exp(score − log)', '0.7046'],
  ]);
  expect(section().querySelectorAll('rect')).toHaveLength(8);
  at.figure.hover = { query: 5, key: 1 };
  await new Promise((done) => setTimeout(done, 50));
  expect(at.asked.filter((name) => name === 'products')).toHaveLength(1);
  await userEvent.keyboard('q');
  await vi.waitFor(() => expect(section()).toBeNull());
});

test('what went wrong, what is not known and what this copy lacks is said', async () => {
  await show({ ask: (name) => (name === 'products' ? Promise.reject(new Error('no memory')) : new Promise(() => {})) });
  pin(4, 3);
  await vi.waitFor(() => expect(said()).toContain('No q·k: no memory.'));
  document.body.replaceChildren();
  await show();
  pin(4, 3);
  await vi.waitFor(() =>
    expect(said()).toContain('No q·k: this copy holds weights only; a notebook has queries and keys.'),
  );
  document.body.replaceChildren();
  await show({ more: { no_products: 'a difference has none' } });
  expect(said()).toContain('No q·k: a difference has none.');
});

test('a file with factors works them out, and says their error and what was done to the keys', async () => {
  const json = factors();
  await show({ more: { heads: [head(json)] } });
  pin(4, 2);
  const weight = Math.exp(dot(json, 4, 2) - 1.25);
  await vi.waitFor(() => expect(said()).toContain(`${weight.toFixed(4)} ±`));
  expect(said()).toContain('float16 queries and keys: weight ± 0.0004');
  expect(said()).toContain('keys less their mean over the text');
  const button = [...at.root.querySelectorAll('button')].find((b) => b.textContent === 'q·k')!;
  expect(button.ariaPressed).toBe('true');
});

const head = (values: FactorsJson) => ({
  ...{ row: 0, layer: 0, column: 0, head: 0, name: 'L0H0', values, nan: 0, above: 0, below: 0 },
});
