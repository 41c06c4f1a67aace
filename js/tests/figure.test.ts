/** Figures: layouts, and selections that several of them share. */
import { afterEach, expect, test, vi } from 'vitest';
import { page, userEvent } from 'vitest/browser';
import { addressOf, type Address } from '../src/address';
import type { Backend } from '../src/backend';
import type { Figure, FigureJson, Layout } from '../src/figure.svelte';
import { KernelBackend, type WidgetState } from '../src/kernel';
import { mountFigure } from '../src/mount';
import { emptySelection, type Selection } from '../src/selection';

const TOKENS = {
  ...{ label: ['a', '·b', '·c'], text: ['a', ' b', ' c'], group: [0, 1, 2], special: [false, false, false] },
  ...{ role: [null, null, null], ids: null, piece: ['', '', ''] },
};
const aborts: AbortController[] = [];

afterEach(() => {
  for (const abort of aborts.splice(0)) abort.abort();
  document.body.replaceChildren();
  history.replaceState(null, '', ' ');
});

function json(layout: Layout, count: number, more: Partial<FigureJson> = {}): FigureJson {
  const props = { tokens: TOKENS, n_bytes: null, values: null, quantity: { name: '', unit: '' }, scale: null };
  const view = (i: number) => ({
    kind: 'tokens',
    props: { ...props, reference: null, frame: { title: `View ${i}`, provenance: [], edits: [] } },
  });
  const views = Object.fromEntries(Array.from({ length: count }, (_, i) => [String(i), view(i)]));
  return { layout, views, arrays: {}, selection: {}, ...more };
}

async function show(figure: FigureJson, more: Partial<Backend> = {}): Promise<Figure> {
  const abort = new AbortController();
  aborts.push(abort);
  const backend: Backend = { live: false, load: async () => undefined, ...more };
  return mountFigure(document.body, figure, backend, abort.signal);
}

const views = (figure: Figure) => [...figure.host.shadowRoot!.querySelectorAll<HTMLElement>('[data-view]')];
const view = (id: number): Layout => ({ kind: 'view', id: String(id) });
const picked = (figure: Figure) =>
  [...figure.host.shadowRoot!.querySelectorAll<HTMLElement>('[aria-selected=true][data-i]')].map((e) => e.dataset.i);

test.each([
  [1200, 3], // (1200 - 2 gaps) / 3 is over 260 px
  [700, 2],
  [400, 1],
])('a grid of three columns is at %i px one of %i', async (width, expected) => {
  await page.viewport(width, 800);
  document.body.style.margin = '0';
  const figure = await show(json({ kind: 'grid', columns: 3, items: [view(0), view(1), view(2), view(3)] }, 4));
  const tops = views(figure).map((element) => element.getBoundingClientRect().top);
  expect(tops.filter((top) => top === tops[0])).toHaveLength(expected);
  expect(figure.host.scrollWidth).toBeLessThanOrEqual(width);
});

test('a view that fails says why and can be tried again; the others stay', async () => {
  const broken = json({ kind: 'column', items: [view(0), view(1)] }, 2);
  const whole = broken.views['0'].props.tokens;
  broken.views['0'].props.tokens = null;
  const figure = await show(broken);
  const [failed, other] = views(figure);
  const alert = () => failed.querySelector('[role=alert]');
  expect(alert()!.textContent).toMatch(/This tokens view failed: .*null/);
  expect(other.querySelectorAll('[role=option]')).toHaveLength(3);
  expect(other.querySelector('[role=alert]')).toBeNull();

  await userEvent.click(alert()!.querySelector('button')!);
  expect(alert()).not.toBeNull(); // nothing has changed, so it fails again
  figure.views['0'].props.tokens = whole;
  await userEvent.click(alert()!.querySelector('button')!);
  await vi.waitFor(() => expect(alert()).toBeNull());
  expect(failed.querySelectorAll('[role=option]')).toHaveLength(3);
});

test('tabs make a view when it is opened, keep it, and one selection goes through all', async () => {
  await page.viewport(900, 800);
  const names = ['one', '<b>two</b>', 'three'];
  const figure = await show(json({ kind: 'tabs', names, items: [view(0), view(1), view(2)] }, 3));
  const tabs = [...figure.host.shadowRoot!.querySelectorAll<HTMLElement>('[role=tab]')];
  expect(tabs.map((tab) => tab.textContent)).toEqual(names);
  expect(views(figure).map((element) => element.dataset.view)).toEqual(['0']);
  await userEvent.click(views(figure)[0].querySelector('[data-i="1"]')!);
  expect(figure.selection.positions).toEqual([1]);

  tabs[0].focus();
  await userEvent.keyboard('{ArrowRight}');
  expect(figure.host.shadowRoot!.activeElement).toBe(tabs[1]);
  expect(tabs.map((tab) => [tab.tabIndex, tab.ariaSelected])).toEqual([
    [-1, 'false'],
    [0, 'true'],
    [-1, 'false'],
  ]);
  expect(views(figure).map((element) => [element.dataset.view, element.checkVisibility()])).toEqual([
    ['0', false],
    ['1', true],
  ]);
  expect(picked(figure)).toEqual(['1', '1']); // the text in the tab that was opened just now, too
  await userEvent.keyboard('{Home}{ArrowLeft}'); // round the end
  expect(figure.host.shadowRoot!.activeElement).toBe(tabs[2]);
  expect(figure.host.shadowRoot!.getElementById(tabs[2].getAttribute('aria-controls')!)!.hidden).toBe(false);
});

test('figures with one selection id are one at once, without a kernel; others hear nothing', async () => {
  const written: unknown[] = [];
  const backend = { writeSelection: (selection: Selection, origin?: string) => written.push([selection, origin]) };
  const first = await show(json(view(0), 1, { selection_id: 's' }), backend);
  const second = await show(json(view(0), 1, { selection_id: 's' }));
  const other = await show(json(view(0), 1, { selection_id: 't' }));
  const alone = await show(json(view(0), 1));
  first.pick({ positions: [2] });
  expect([first, second, other, alone].map((figure) => figure.selection.positions)).toEqual([[2], [2], [], []]);
  await vi.waitFor(() => expect(picked(second)).toEqual(['2']));
  second.pick({ positions: [0] });
  expect(first.selection.positions).toEqual([0]);
  // A position is read as a query. Whoever was picked in tells its own kernel, and only that.
  expect(written).toEqual([[{ ...emptySelection(), positions: [2], queries: [2] }, expect.stringMatching(/^\w+:1$/)]]);
});

test('what comes back late through the kernel does not undo what was picked since', async () => {
  const origins: string[] = [];
  const backend = { writeSelection: (_: Selection, origin?: string) => void origins.push(origin!) };
  const first = await show(json(view(0), 1, { selection_id: 's' }), backend);
  const second = await show(json(view(0), 1, { selection_id: 's' }));
  first.pick({ positions: [0] });
  first.pick({ positions: [1] });
  expect(second.selection.positions).toEqual([1]);
  // The kernel, which was busy, passes both on one after the other.
  second.receive({ positions: [0], origin: origins[0] });
  expect(second.selection.positions).toEqual([1]);
  second.receive({ positions: [1], origin: origins[1] });
  second.receive({ positions: [2] }); // Python itself: it counts
  expect(second.selection.positions).toEqual([2]);
  // From a browser window elsewhere, which nobody here has heard.
  second.receive({ positions: [0], origin: 'elsewhere:1' });
  expect(second.selection.positions).toEqual([0]);
});

test('a pick of a shared selection carries its origin to Python, another does not', () => {
  const state: Partial<WidgetState> = {};
  const model = {
    on: () => {},
    set: (name: 'selection', value: WidgetState['selection']) => void (state[name] = value),
    save_changes: vi.fn(),
  };
  const backend = new KernelBackend(model as unknown as ConstructorParameters<typeof KernelBackend>[0]);
  backend.writeSelection({ ...emptySelection(), heads: [1] }, 'f:3');
  expect(state.selection).toEqual({ ...emptySelection(), heads: [1], origin: 'f:3' });
  backend.writeSelection({ ...emptySelection(), heads: [2] });
  expect(state.selection).toEqual({ ...emptySelection(), heads: [2] });
  expect(model.save_changes).toHaveBeenCalledTimes(2);
});

/** An address as in a window of its own: tests run in a frame, where there is none. */
function address(hash: string, place = 0, more: Partial<FigureJson> = {}): Address {
  const hosts = [document.createElement('div'), document.createElement('div')];
  const window = {
    location: { hash },
    history: { replaceState: (_: null, __: '', to: string) => (window.location.hash = to) },
    addEventListener: () => {},
  } as { location: { hash: string }; parent?: unknown } & Record<string, unknown>;
  window.parent = window;
  const shown = { documentElement: document.documentElement, querySelectorAll: () => hosts, defaultView: window };
  return addressOf(shown as unknown as Document, hosts[place], { ...json(view(0), 1), ...more }, new Map())!;
}

test('an address names what is picked in each figure', () => {
  const second = address('#mv-0=layers:1;heads:0', 1);
  second.write({ ...emptySelection(), positions: [3, 4] });
  // What was picked last comes first: a reader who opens the address begins there.
  expect(second.window.location.hash).toBe('#mv-1=positions:3,4&mv-0=layers:1;heads:0');
  expect(second.read({ selection: {} })).toEqual({ selection: { ...emptySelection(), positions: [3, 4] } });
  second.write(emptySelection());
  expect(second.window.location.hash).toBe('#mv-1=&mv-0=layers:1;heads:0');
  // Nothing picked is a statement, too: the figure may open with something.
  expect(second.read({ selection: { heads: [2] } })).toEqual({ selection: emptySelection() });
  expect(address('#mv-s=keys:7', 1, { selection_id: 's' }).read({ selection: {} })!.selection.keys).toEqual([7]);
});

test.each([
  '#mv-0=layers:-1;heads:x;positions:1e3,2;constructor:1;keys:9999999999',
  '#mv-0=positions:2;positions;;=&mv-=&&',
])('of an address that anybody may have written only whole numbers count: %s', (hash) => {
  expect(address(hash).read({ selection: {} })!.selection.layers).toEqual([]);
  expect(Object.values(address(hash).read({ selection: {} })!.selection).flat()).toEqual(
    hash.includes('1e3') ? [2] : [],
  );
});

test('an address of something else is left alone', () => {
  expect(address('#the-induction-heads').read({ selection: {} })).toBeUndefined();
  expect(address('').read({ selection: {} })).toBeUndefined();
  expect(address('#mv-1=heads:1').read({ selection: {} })).toBeUndefined();
});

test('notes: a number at what each is about, the texts below; a click on one goes there', async () => {
  await page.viewport(900, 800);
  const figure = json(view(0), 1);
  const notes = [
    { text: '<b>here</b>', at: { positions: [1] } },
    { text: 'also here', at: { positions: [1] } },
    { text: 'not in this view', at: { neurons: [3] } },
    { text: 'everything', at: {} },
  ];
  Object.assign(figure.views['0'].props.frame!, { notes });
  const shown = await show(figure);
  const root = shown.host.shadowRoot!;
  const marks = () => [...root.querySelectorAll<HTMLElement>('.mark')];
  await vi.waitFor(() => expect(marks().map((mark) => mark.textContent)).toEqual(['1', '2']));
  const token = () => root.querySelector('[data-i="1"]')!.getBoundingClientRect();
  const middle = (mark: HTMLElement) => {
    const { left, top, width, height } = mark.getBoundingClientRect();
    return [left + width / 2, top + height / 2];
  };
  // At the token's upper right corner, and the second beside the first.
  expect(middle(marks()[0])[0]).toBeCloseTo(token().right, 0);
  expect(middle(marks()[0])[1]).toBeCloseTo(token().top, 0);
  expect(middle(marks()[1])[0]).toBeCloseTo(token().right + 16, 0);
  const items = [...root.querySelectorAll('ol li')];
  expect(items.map((item) => item.textContent!.replace(/\s+/g, ' ').trim())).toEqual(
    notes.map(({ text }, i) => `${i + 1} ${text}`),
  );
  expect(items.map((item) => item.querySelector('button') !== null)).toEqual([true, true, true, false]);
  await userEvent.click(items[0].querySelector('button')!);
  expect(shown.selection.positions).toEqual([1]);
  // They stay where they belong when the view is laid out anew.
  shown.host.style.width = '60px';
  await vi.waitFor(() => expect(middle(marks()[0])[0]).toBeCloseTo(token().right, 0));
});
