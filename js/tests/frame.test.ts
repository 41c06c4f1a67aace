/** What all views share: keys, full screen, states, words. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { page, userEvent } from 'vitest/browser';
import type { Backend } from '../src/backend';
import type { Figure, FigureJson } from '../src/figure.svelte';
import '../src/labviews';
import { mountFigure } from '../src/mount';
import { say, setWords } from '../src/words';
import type { NdArray } from '../src/wire';

const HEADER = { dtype: 'float32', shape: [2, 2], encoding: 'raw', layout: 'dense', exact: true } as const;
const ARRAY: NdArray = { data: Float32Array.of(1, 0, 0.25, 0.75), shape: [2, 2], precision: 'exact' };
let abort: AbortController;
let figure: Figure;
let root: ShadowRoot;

beforeEach(() => page.viewport(1000, 800));
afterEach(() => {
  abort.abort();
  setWords({});
  document.body.replaceChildren();
});

const TOKENS = {
  ...{ label: ['a', '·b'], text: ['a', ' b'], group: [0, 1], special: [false, false] },
  ...{ role: [null, null], ids: null, piece: ['', ''] },
};
const FRAME = { title: 'A title', provenance: [], edits: [] };
const HEAD = { row: 0, layer: 0, column: 0, head: 0, name: 'L0H0', nan: 0, above: 0, below: 0 };

/** One tokens view, or one attention view whose head is fetched by `backend`. */
async function show(kind: 'tokens' | 'attention', more: Partial<Backend> = {}, style = {}): Promise<void> {
  abort = new AbortController();
  const backend: Backend = { live: true, load: async () => ARRAY, writeSelection: () => {}, ...more };
  const props = {
    tokens: { n_bytes: null, values: null, quantity: { name: '', unit: '' }, scale: null, reference: null },
    attention: {
      ...{ key_tokens: null, heads: [{ ...HEAD, values: { $array: 'h' } }], rows: ['L0'], columns: ['H0'] },
      ...{ thumbs: null, thumb_step: 1, statistics: null, causal: true, probabilities: true, open: 0 },
      ...{ quantity: 'attention probability', scale: { ramp: 'ink', limits: [0, 1] }, row_total: null },
    },
  }[kind];
  const json = {
    layout: { kind: 'view', id: '0' },
    views: { '0': { kind, props: { frame: FRAME, tokens: TOKENS, ...props } } },
    arrays: kind === 'attention' ? { h: { ...HEADER, lazy: true } } : {},
    selection: {},
    style,
  } as unknown as FigureJson;
  figure = await mountFigure(document.body, json, backend, abort.signal);
  root = figure.host.shadowRoot!;
}

test.each(['tokens', 'attention'] as const)(
  'in %s, ? lists the keys, has the focus and gives it back',
  async (kind) => {
    await show(kind);
    const first = root.querySelector<HTMLElement>('[tabindex="0"]')!;
    first.focus();
    await userEvent.keyboard('?');
    const dialog = root.querySelector<HTMLElement>('[role=dialog]')!;
    expect(root.activeElement).toBe(dialog);
    // Every view names the keys that all have.
    for (const key of ['Enter', 'Esc', 'f', '?']) {
      expect([...dialog.querySelectorAll('kbd')].map((kbd) => kbd.textContent)).toContain(key);
    }
    await userEvent.keyboard('{Escape}');
    await vi.waitFor(() => expect(root.querySelector('[role=dialog]')).toBeNull());
    expect(root.activeElement).toBe(first);
  },
);

test('f fills the screen, or the window where that is forbidden; again, or Escape, and it is as it was', async () => {
  await show('tokens');
  const { host } = figure;
  host.requestFullscreen = () => Promise.reject(new TypeError('forbidden'));
  const before = host.getBoundingClientRect().width;
  root.querySelector<HTMLElement>('[data-i="0"]')!.focus();
  await userEvent.keyboard('f');
  await vi.waitFor(() => expect(host.getBoundingClientRect().height).toBe(innerHeight));
  expect(host.getBoundingClientRect().width).toBe(innerWidth);
  await userEvent.keyboard('{Escape}');
  expect(host.getBoundingClientRect().width).toBe(before);
  await userEvent.keyboard('f');
  await vi.waitFor(() => expect(host.getBoundingClientRect().height).toBe(innerHeight));
  await userEvent.keyboard('f');
  expect(host.getBoundingClientRect().width).toBe(before);
});

test('a head that is long on its way says so, and no longer once it is here', async () => {
  let deliver!: (array: NdArray) => void;
  await show('attention', { load: () => new Promise((resolve) => (deliver = resolve)) });
  expect(root.querySelector('p[role=status]')).toBeNull(); // not at once: nothing flickers
  await vi.waitFor(() => expect(root.querySelector('p[role=status]')?.textContent).toContain('Loading L0H0.'));
  deliver(ARRAY);
  await vi.waitFor(() => expect(root.querySelector('p[role=status]')).toBeNull());
});

test('a head that cannot be fetched says why; retry fetches it again', async () => {
  let times = 0;
  const load = async () => {
    if (++times === 1) throw new Error('the kernel is gone');
    return ARRAY;
  };
  await show('attention', { load });
  await vi.waitFor(() => expect(root.querySelector('[role=alert]')?.textContent).toContain('the kernel is gone'));
  await userEvent.click(root.querySelector<HTMLElement>('[role=alert] button')!);
  await vi.waitFor(() => expect(root.querySelector('[role=alert]')).toBeNull());
  expect(times).toBe(2);
  expect(root.querySelector('footer')!.textContent).toContain('exact to 4 decimals');
});

test('while a busy kernel does not answer, what is shown is said to be what travelled', async () => {
  let answer!: () => void;
  const lossy: NdArray = { ...ARRAY, precision: 'float16' };
  const row = { value: null, arrays: [{ data: Float32Array.of(0.25, 0.75), shape: [2], precision: 'exact' as const }] };
  await show('attention', {
    load: async () => lossy,
    ask: () => new Promise((resolve) => (answer = () => resolve(row))),
  });
  await vi.waitFor(() => expect(root.querySelector('p[role=status]')?.textContent).toContain('Kernel busy.'), 4000);
  expect(root.querySelector('footer')!.textContent).toContain('float16: at most');
  answer();
  await vi.waitFor(() => expect(root.querySelector('p[role=status]')).toBeNull());
  expect(root.querySelector('footer')!.textContent).toContain('numbers exact');
});

test('words: of one and of many, fields filled in, others in place of ours', async () => {
  expect(say('tokens.more', { n: 3 })).toBe('and 3 more');
  expect([1, 2].map((n) => say('attention.nan', { n }))).toEqual(['1 cell not a number', '2 cells not a number']);
  await show('tokens', {}, { words: { 'keys.all': 'alle Tasten' } });
  expect(root.querySelector('footer')!.textContent).toContain('alle Tasten');
});

test('a style: theme with a ground of its own, fonts, spaces', async () => {
  await show('tokens', {}, { theme: 'dark', mono: 'Courier', spaces: true });
  expect(figure.theme).toBe('dark');
  expect(getComputedStyle(figure.host).backgroundColor).toBe('rgb(17, 20, 24)');
  const token = root.querySelector('[data-i="1"]')!;
  expect(token.textContent).toBe('·b');
  expect(getComputedStyle(token).fontFamily).toContain('Courier');
});
