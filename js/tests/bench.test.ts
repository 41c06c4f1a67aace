/** The lab bench: a click is the run of its edit, from the kernel or from the table of a file; the newest click wins. */
import { tick } from 'svelte';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { page, userEvent } from 'vitest/browser';
import '../src/labviews';
import type { Backend } from '../src/backend';
import type { Figure, FigureJson } from '../src/figure.svelte';
import { setPaper } from '../src/export/paper';
import { mountFigure } from '../src/mount';
import { axis, bySize, gains, placeOf, roundUp, signed, tilesOf } from '../src/parts/bench';
import type { NdArray } from '../src/wire';

let abort: AbortController;
let figure: Figure;
let root: ShadowRoot;

beforeEach(() => page.viewport(1000, 900));
afterEach(() => {
  abort.abort();
  document.body.replaceChildren();
});

const array = (values: number[], ...shape: number[]): NdArray => {
  const data = Float64Array.from(values);
  return { data, shape, dtype: 'float64', precision: 'exact' } as unknown as NdArray;
};
/** A run by its logit; the one part L0H0 adds half of it, L0 MLP the rest. */
const numbers = (logit: number) => [logit, logit / 2, logit / 2];
const entry = (key: string) => ({ key, label: key && key.replace(' ', ' → '), next: ['·b', '·c'], took: 3 });
const LOGITS: Record<string, number> = { 'L0H0 zero': 1, 'L0H1 zero': -2, 'L0 zero': 3.5, 'L0H0 mean': 3 };
const bars = (key: string) => (key ? [0.75, 0.25, 0.5, 0.4] : [0.75, 0.25, 0.75, 0.25]);
/** The second token's loss is 1 before, and 1 + the logit lost after. */
const loss = (key: string) => [NaN, 1 + (key ? 4 - LOGITS[key] : 0), 0.5];

function runs(keys: string[]) {
  return {
    entries: keys.map(entry),
    numbers: { $array: 'numbers' + keys.length + (keys[0] ? '' : 'clean') },
    bars: { $array: 'bars' + keys.length + (keys[0] ? '' : 'clean') },
    loss: { $array: 'loss' + keys.length + (keys[0] ? '' : 'clean') },
    patterns: keys.map((key) => (key ? null : { $array: 'patterns' })),
  };
}
function arraysOf(keys: string[]): Record<string, NdArray> {
  const end = keys.length + (keys[0] ? '' : 'clean');
  return {
    ['numbers' + end]: array(
      keys.flatMap((key) => numbers(key ? LOGITS[key] : 4)),
      keys.length,
      3,
    ),
    ['bars' + end]: array(keys.flatMap(bars), keys.length, 2, 2),
    ['loss' + end]: array(keys.flatMap(loss), keys.length, 3),
  };
}

/** Of four runs, three positions each: after the second token of each run "x", then "y". */
const AHEAD = { names: ['x', 'y', '·z'], ahead: { $array: 'ahead' }, ahead_bars: { $array: 'ahead_bars' } };

async function show(
  ask: Backend['ask'] | undefined,
  more: Record<string, unknown> & { edit?: string } = {},
  given: Record<string, NdArray> = {},
  rest: object = {},
) {
  const table = Object.keys(LOGITS);
  const arrays = {
    ...arraysOf(['']),
    ...arraysOf(table),
    patterns: array(Array(18).fill(0.5), 2, 3, 3),
    ahead: array(Array(4).fill([2, 0, 0, 1, 2, 1]).flat(), 4, 3, 2),
    ahead_bars: array(Array(12).fill([0.5, 0.3, 0.25, 0.6]).flat(), 4, 3, 2, 2),
    ...given,
  };
  const label = ['a', '·b', '·c'];
  const tokens = { label, text: ['a', ' b', ' c'], group: [0, 1, 2], special: [false, false, false] };
  const props = {
    frame: { title: 'Lab bench', provenance: ['model'], edits: [] },
    tokens: { ...tokens, role: [null, null, null], ids: null, piece: ['', '', ''] },
    layers: [[0, 2]],
    n_layers: 1,
    causal: true,
    modes: ['zero', 'mean', 'resample'],
    references: '3 tokens',
    token: '·b',
    minus: '·c',
    position: 2,
    parts: [
      { name: 'L0H0', site: 'L0H0' },
      { name: 'L0 MLP', site: 'L0.mlp' },
    ],
    neurons: ['L0N7'],
    vocabulary: 1160,
    unavailable: null,
    frozen: true,
    places: 4,
    slow: true,
    seconds: 4,
    clean: runs(['']),
    table: ask ? null : runs(table),
    edit: null,
    ...more,
  };
  const headers = Object.fromEntries(Object.keys(arrays).map((id) => [id, {}]));
  abort = new AbortController();
  const jsonOf = (other: object) =>
    ({
      layout: { kind: 'view', id: '0' },
      views: { '0': { kind: 'bench', props: { ...props, ...other } } },
      arrays: headers,
      selection: placeOf(more.edit ?? ''),
      ...rest,
    }) as unknown as FigureJson;
  const backend: Backend = { live: Boolean(ask), load: async (id) => arrays[id as keyof typeof arrays], ask };
  figure = await mountFigure(document.body, jsonOf({}), backend, abort.signal);
  root = figure.host.shadowRoot!;
  return { update: (other: object) => figure.update(jsonOf(other)) };
}

const badge = () => root.querySelector('h3 .edit')?.textContent;
const head = (site: string) => root.querySelector<HTMLButtonElement>(`button.head[aria-label="${site}"]`)!;
const big = () => root.querySelector('.big')!.textContent!.replace(/\s+/g, ' ').trim();
const bar = () => root.querySelector('figure')!.ariaLabel;

test('in a file a click shows the run of the table: badge, logit, bars, losses, parts and colours at once', async () => {
  await show(undefined);
  expect([badge(), big()]).toEqual([undefined, '4.00']);
  expect(bar()).toContain('loss of each token');
  head('L0H1').click();
  await vi.waitFor(() => expect(badge()).toBe('edited: L0H1 → zero'));
  expect(big()).toBe('4.00 → −2.00 −6.00 undo');
  // loss 1 → 7: the colour is −6 of a scale that reaches to 10
  expect(bar()).toBe('Δ log p of each token, nats, from −10 to 10');
  const rows = [...root.querySelectorAll('tbody tr')].map((row) => row.textContent!.replace(/\s+/g, ' ').trim());
  expect(rows[0]).toMatch(/·b.*0\.750.*0\.500.*−0\.250/);
  expect(rows.at(-2)).toMatch(/·b.*1.*1\.000.*7\.000.*\+6\.000/);
  const part = root.querySelector<HTMLElement>('.parts button')!;
  expect([part.textContent.replace(/\s+/g, ' ').trim(), part.title]).toEqual(['L0H0 −3.00', '+2.00 → −1.00']);
  expect(root.textContent).toContain('the terms sum to 4.00 and −2.00; norm scale frozen in each run');
  expect(figure.selection).toMatchObject({ layers: [0], heads: [1], neurons: [] });
  // again restores
  head('L0H1').click();
  await vi.waitFor(() => expect(big()).toBe('4.00'));
  expect(badge()).toBeUndefined();
});

test('a part that only the edited run has is a row among those of the model as it is, and the rows sum to its logit', async () => {
  const parts = [
    { name: 'L0H0', site: 'L0H0' },
    { name: 'L0 attention', site: 'L0.attn' },
    { name: 'L0 attention bias', site: null },
    { name: 'L0 MLP', site: 'L0.mlp' },
  ];
  // The heads' attention is replaced as a whole: 1 = 0 + 3 + 0 − 2, or 4 = 2 + 0 + 0 + 2 where nothing is.
  const table = { ...runs(['L0H0 zero', 'L0H1 zero']), parts };
  const numbers2 = array([1, 0, 3, 0, -2, 4, 2, 0, 0, 2], 2, 5);
  await show(undefined, { table }, { ...arraysOf(['L0H0 zero', 'L0H1 zero']), numbers2 });
  const rows = () =>
    [...root.querySelectorAll<HTMLElement>('.parts button')].map((row) => [
      row.querySelector('.name')!.textContent,
      row.title,
    ]);
  expect(rows().map(([name]) => name)).toEqual(['L0H0', 'L0 MLP']);
  head('L0H0').click();
  await vi.waitFor(() => expect(big()).toContain('4.00 → 1.00'));
  expect(rows()).toEqual([
    ['L0H0', '+2.00 → 0'],
    ['L0 attention', '0 → +3.00'],
    ['L0 MLP', '+2.00 → −2.00'],
  ]);
  head('L0H1').click();
  await vi.waitFor(() => expect(big()).toContain('4.00 → 4.00'));
  expect(rows().map(([name]) => name)).toEqual(['L0H0', 'L0 MLP']);
});

test('live, what cannot be changed is no button, and why is said; a layer without heads has no grid of them', async () => {
  const why = 'what its heads read does not reach one linear layer as it is';
  const { ask } = kernel();
  const { update } = await show(ask, { fixed: [{ why, sites: ['L0H1', 'L0.mlp', 'L0N7'] }] });
  const disabled = (site: string) =>
    [...root.querySelectorAll<HTMLButtonElement>(`[data-site="${site}"]`)].map((button) => button.disabled);
  expect(['L0H0', 'L0H1', 'L0', 'L0.mlp', 'L0N7'].map(disabled).flat()).toEqual([
    false,
    false,
    true,
    false,
    true,
    true,
  ]);
  expect(root.textContent).toContain(`L0H1, L0.mlp, L0N7 cannot be changed: ${why}`);
  await update({ layers: [], fixed: [{ why, sites: ['L0H0', 'L0H1', 'L1H0', 'L1H1'] }] });
  await tick();
  expect(root.querySelector('.heads')!.textContent).toBe('');
  expect(root.textContent).toContain('No attention pattern');
  expect(root.textContent).toContain('L0H0 … L1H1 (4) cannot be changed');
});

test('a part is of a layer that is changed as a whole; what enters the layer is not', async () => {
  const parts = [
    { name: 'embedding', site: 'L0.resid_pre' },
    { name: 'L0 MLP', site: 'L0.mlp' },
  ];
  await show(undefined, { parts });
  root.querySelector<HTMLButtonElement>('button.layer')!.click();
  await vi.waitFor(() => expect(badge()).toBe('edited: L0 → zero'));
  const marked = [...root.querySelectorAll('.parts button.edited .name')].map((name) => name.textContent);
  expect(marked).toEqual(['L0 MLP']);
});

test('a file offers what it holds and nothing else', async () => {
  await show(undefined);
  const modes = [...root.querySelectorAll('.modes button')].map((button) => button.textContent);
  expect(modes).toEqual(['zero', 'mean']);
  expect(root.querySelector<HTMLButtonElement>('.neurons button')!.disabled).toBe(true);
  expect(root.textContent).toContain('table of 4 edits in this file');
  root.querySelectorAll<HTMLButtonElement>('.modes button')[1].click();
  await vi.waitFor(() => expect(head('L0H1').disabled).toBe(true)); // there is no mean of it
  head('L0H0').click();
  await vi.waitFor(() => expect(badge()).toBe('edited: L0H0 → mean'));
  head('L0H0').focus();
  await userEvent.keyboard('z');
  await vi.waitFor(() => expect(badge()).toBe('edited: L0H0 → zero'));
  await userEvent.keyboard('u');
  await vi.waitFor(() => expect(badge()).toBeUndefined());
});

test('a layer is clicked by its name; the list has the largest change first', async () => {
  await show(undefined);
  const edits = () =>
    [...root.querySelectorAll('button.edit')].map((button) => button.textContent!.replace(/\s+/g, ' '));
  // from 4: L0H1 −6, L0H0 −3, L0 −0.5
  expect(edits().map((text) => text.split('→')[0].trim())).toEqual(['L0H1', 'L0H0', 'L0']);
  root.querySelector<HTMLButtonElement>('button.layer')!.click();
  await vi.waitFor(() => expect(badge()).toBe('edited: L0 → zero'));
  expect(root.querySelectorAll('.head svg')).toHaveLength(2); // every head of it is crossed out
});

function kernel() {
  const asked: {
    sites: string[];
    mode: string;
    how: unknown;
    answer(thumbs?: NdArray[], desk?: number): void;
    fail(message: string): void;
  }[] = [];
  const ask = (_view: string, name: string, args: unknown, how?: unknown) =>
    new Promise((resolve, reject) => {
      if (name !== 'run') return;
      const { sites, mode } = args as { sites: string[]; mode: string };
      const key = `${sites.join('+').replace('0.1', 'L0H1')} ${mode}`; // as Python calls a head
      LOGITS[key] ??= 2;
      const found = Object.values(arraysOf([key]));
      asked.push({
        sites,
        mode,
        how,
        answer: (thumbs = [], desk = undefined) =>
          resolve({
            value: { desk, entries: [entry(key)], patterns: [thumbs.length > 0], whole: true },
            arrays: [...found, ...thumbs],
          }),
        fail: (message) => reject(new Error(message)),
      });
    });
  return { asked, ask: ask as NonNullable<Backend['ask']> };
}

test('live, the last click is what is shown in the end, and the run before stays until then', async () => {
  const { asked, ask } = kernel();
  await show(ask);
  head('L0H0').click();
  await vi.waitFor(() => expect(asked).toHaveLength(1));
  expect(badge()).toBeUndefined(); // nothing is claimed before it is here
  head('L0H1').click();
  await vi.waitFor(() => expect(asked).toHaveLength(2));
  asked[1].answer();
  await vi.waitFor(() => expect(badge()).toBe('edited: L0H1 → zero'));
  asked[0].answer(); // late
  await new Promise((done) => setTimeout(done, 30));
  expect(badge()).toBe('edited: L0H1 → zero');
  // what is known is not asked again
  head('L0H0').click();
  await vi.waitFor(() => expect(badge()).toBe('edited: L0H0 → zero'));
  expect(asked).toHaveLength(2);
});

test('live: Shift adds, any neuron can be typed, an error stands in place and the picture stays', async () => {
  const { asked, ask } = kernel();
  await show(ask);
  head('L0H0').click();
  await vi.waitFor(() => expect(asked).toHaveLength(1));
  asked[0].answer();
  await vi.waitFor(() => expect(badge()).toBe('edited: L0H0 → zero'));
  head('L0H1').dispatchEvent(new MouseEvent('click', { bubbles: true, shiftKey: true }));
  await vi.waitFor(() => expect(asked.at(-1)!.sites).toEqual(['L0H0', 'L0H1']));
  asked.at(-1)!.answer();
  await vi.waitFor(() => expect(badge()).toBe('edited: L0H0+L0H1 → zero'));
  const input = root.querySelector('input')!;
  input.focus();
  await userEvent.keyboard('L0N999{Enter}');
  await vi.waitFor(() => expect(asked.at(-1)!.sites).toEqual(['L0N999']));
  asked.at(-1)!.fail('ValueError: no such neuron');
  await vi.waitFor(() => expect(root.querySelector('[role=alert]')!.textContent).toContain('no such neuron'));
  expect(badge()).toBe('edited: L0H0+L0H1 → zero');
  expect(figure.selection).toMatchObject({ layers: [0], heads: [1], neurons: [] }); // what is shown is picked
  // the next one is added to what is shown, not to what failed
  await userEvent.keyboard('{Control>}a{/Control}L0N7{Shift>}{Enter}{/Shift}');
  await vi.waitFor(() => expect(asked.at(-1)!.sites).toEqual(['L0H0', 'L0H1', 'L0N7']));
  asked.at(-1)!.answer();
  await vi.waitFor(() => expect(figure.selection).toMatchObject({ layers: [0], heads: [], neurons: [7] }));
});

test('live, a head that is typed in another way is called, marked and picked as its button is', async () => {
  const { asked, ask } = kernel();
  await show(ask);
  root.querySelector('input')!.focus();
  await userEvent.keyboard('0.1{Enter}');
  expect(asked[0].sites).toEqual(['0.1']);
  asked[0].answer();
  await vi.waitFor(() => expect(badge()).toBe('edited: L0H1 → zero'));
  expect(head('L0H1').ariaPressed).toBe('true');
  await vi.waitFor(() => expect(figure.selection).toMatchObject({ layers: [0], heads: [1] }));
  head('L0H1').click(); // again restores
  await vi.waitFor(() => expect(badge()).toBeUndefined());
});

test('a file that does not hold an edit in another kind says so, and shows the model as it is', async () => {
  await show(undefined, { edit: 'L0H1' });
  root.querySelectorAll<HTMLButtonElement>('.modes button')[1].click();
  await vi.waitFor(() =>
    expect(root.querySelector('[role=alert]')!.textContent).toContain('does not hold L0H1 → mean'),
  );
  expect([badge(), big()]).toEqual([undefined, '4.00']);
  expect(root.querySelectorAll('.modes button')[1].ariaPressed).toBe('true');
  expect(figure.selection).toMatchObject({ layers: [], heads: [] });
  head('L0H0').click();
  await vi.waitFor(() => expect(badge()).toBe('edited: L0H0 → mean'));
  expect(root.querySelector('[role=alert]')).toBeNull();
});

test('the head that is picked by the address, or by Python, is the one that is changed; u lets go of it', async () => {
  await show(undefined, { edit: 'L0H1' }, {}, { selection: { layers: [0], heads: [0] } });
  expect(badge()).toBe('edited: L0H0 → zero');
  head('L0H0').focus();
  await userEvent.keyboard('u');
  await vi.waitFor(() => expect(badge()).toBeUndefined());
  expect(figure.selection).toMatchObject({ layers: [], heads: [] });
  figure.receive({ layers: [0], heads: [1], positions: [2] });
  await vi.waitFor(() => expect(badge()).toBe('edited: L0H1 → zero'));
  figure.receive({ positions: [2] });
  await vi.waitFor(() => expect(badge()).toBeUndefined());
  // What the address names and the file does not hold
  figure.receive({ layers: [0], neurons: [7] });
  await vi.waitFor(() =>
    expect(root.querySelector('[role=alert]')!.textContent).toContain('does not hold L0N7 → zero'),
  );
});

test('where nothing is picked any more nothing is changed; a layer, which is never picked by itself, is', async () => {
  await show(undefined, { edit: 'L0H1' }, {}, { selection: {} });
  expect(badge()).toBeUndefined();
  abort.abort();
  document.body.replaceChildren();
  await show(undefined, { edit: 'L0' });
  expect(badge()).toBe('edited: L0 → zero');
});

test('beside other views a head that is picked is theirs, and runs nothing', async () => {
  const layout = { kind: 'row', items: [{ kind: 'view', id: '0' }] };
  await show(undefined, { edit: 'L0H1' }, {}, { layout, selection: { layers: [0], heads: [0] } });
  expect(badge()).toBe('edited: L0H1 → zero');
  figure.pick({ layers: [0], heads: [0] });
  await tick();
  expect(badge()).toBe('edited: L0H1 → zero');
  root.querySelector<HTMLButtonElement>('.big button')!.click();
  await vi.waitFor(() => expect(badge()).toBeUndefined());
  expect(figure.selection).toMatchObject({ layers: [0], heads: [0] }); // it is not what was changed
});

test('live, of several the last is picked; without it the one that is left', async () => {
  const { asked, ask } = kernel();
  await show(ask);
  const add = (site: string) => head(site).dispatchEvent(new MouseEvent('click', { bubbles: true, shiftKey: true }));
  for (const site of ['L0H0', 'L0H1', 'L0H0']) {
    const before = asked.length;
    add(site);
    await vi.waitFor(() => expect(asked).toHaveLength(before + 1));
    asked.at(-1)!.answer();
    await pause();
  }
  expect(badge()).toBe('edited: L0H1 → zero');
  expect(figure.selection).toMatchObject({ layers: [0], heads: [1] });
});

test('a run that was made while nobody asked is shown with its own thumbnails, which the kernel is asked for', async () => {
  const { asked, ask } = kernel();
  // Heads are 0.5 everywhere; with the edit the second one is 1.
  const scan = Object.values(arraysOf(['L0H0 zero']));
  let scans = 0;
  const both: typeof ask = async (view, name, args) => {
    if (name === 'run') return ask(view, name, args);
    if (name !== 'scan' || scans++) return new Promise(() => {});
    return { value: { entries: [entry('L0H0 zero')], patterns: [false], whole: false, next: 1 }, arrays: scan };
  };
  await show(both, { slow: false });
  await vi.waitFor(() => expect(root.textContent).toContain('Effect of 1 edit'));
  head('L0H0').click();
  await vi.waitFor(() => expect(asked).toHaveLength(1));
  expect(badge()).toBeUndefined(); // heads of the model as it is would stand under the title of the edited one
  asked[0].answer([array(Array(9).fill(1), 1, 3, 3)]);
  await vi.waitFor(() => expect(badge()).toBe('edited: L0H0 → zero'));
  const corner = (site: string) => {
    const canvas = head(site).querySelector('canvas')!;
    return canvas.getContext('2d')!.getImageData(2, canvas.height - 3, 1, 1).data[0];
  };
  await vi.waitFor(() => expect(corner('L0H1')).toBeLessThan(corner('L0H0')));
});

test('live, a run that was made with its thumbnails while nobody asked is shown at the click, without the kernel', async () => {
  const { asked, ask } = kernel();
  const scanned = Object.values(arraysOf(['L0H0 zero']));
  let scans = 0;
  const both: typeof ask = async (view, name, args) => {
    if (name === 'run') return ask(view, name, args);
    if (name !== 'scan' || scans++) return new Promise(() => {});
    return { value: { entries: [entry('L0H0 zero')], patterns: [false], whole: true, next: 1 }, arrays: scanned };
  };
  await show(both, { slow: false });
  await vi.waitFor(() => expect(root.textContent).toContain('Effect of 1 edit'));
  head('L0H0').click();
  await tick();
  expect(badge()).toBe('edited: L0H0 → zero');
  expect(asked).toHaveLength(0);
});

test('live, the run of a part that the pointer rests on is made before the click, and nothing is shown of it', async () => {
  const { asked, ask } = kernel();
  await show(ask);
  const point = (site: string) => head(site).dispatchEvent(new PointerEvent('pointerover', { bubbles: true }));
  const rested = () => new Promise((done) => setTimeout(done, 120));
  point('L0H0');
  point('L0H1'); // passed over the first one
  await rested();
  expect(asked.map(({ sites, mode, how }) => [sites, mode, how])).toEqual([
    [['L0H1'], 'zero', { channel: 'ready', background: true }],
  ]);
  asked[0].answer();
  await rested();
  expect(badge()).toBeUndefined();
  head('L0H1').click();
  await tick();
  expect(badge()).toBe('edited: L0H1 → zero');
  point('L0H1'); // a click would undo it
  await rested();
  expect(asked).toHaveLength(1);

  head('L0H0').focus();
  await rested();
  expect(asked[1].sites).toEqual(['L0H0']);
  asked[1].fail('MemoryError'); // nobody asked: a click does, and is told
  await rested();
  expect(root.querySelector('[role=alert]')).toBeNull();
  head('L0H0').click();
  await vi.waitFor(() => expect(asked).toHaveLength(3));
  asked[2].fail('MemoryError');
  await vi.waitFor(() => expect(root.querySelector('[role=alert]')!.textContent).toContain('MemoryError'));
});

test('live, a press begins the run that its click shows, and the click asks for no other', async () => {
  const { asked, ask } = kernel();
  await show(ask);
  head('L0H0').dispatchEvent(new PointerEvent('pointerdown', { bubbles: true }));
  expect(asked.map(({ sites }) => sites)).toEqual([['L0H0']]);
  head('L0H0').focus(); // as a press does
  head('L0H0').click();
  await new Promise((done) => setTimeout(done, 120));
  expect(asked).toHaveLength(1);
  expect(badge()).toBeUndefined();
  asked[0].answer();
  await vi.waitFor(() => expect(badge()).toBe('edited: L0H0 → zero'));
  // Where that failed the click asks, and says what is wrong.
  head('L0H1').dispatchEvent(new PointerEvent('pointerdown', { bubbles: true }));
  head('L0H1').click();
  asked[1].fail('MemoryError');
  await vi.waitFor(() => expect(asked).toHaveLength(3));
  asked[2].fail('MemoryError');
  await vi.waitFor(() => expect(root.querySelector('[role=alert]')!.textContent).toContain('MemoryError'));
});

test('live, a press whose run fails after something else was clicked is forgotten', async () => {
  const { asked, ask } = kernel();
  await show(ask);
  head('L0H0').dispatchEvent(new PointerEvent('pointerdown', { bubbles: true }));
  head('L0H0').click();
  head('L0H1').click();
  expect(asked.map(({ sites }) => sites)).toEqual([['L0H0'], ['L0H1']]);
  asked[0].fail('MemoryError');
  await new Promise((done) => setTimeout(done, 30));
  expect(asked).toHaveLength(2); // the other one is not asked for again
  asked[1].answer();
  await vi.waitFor(() => expect(badge()).toBe('edited: L0H1 → zero'));
  expect(root.querySelector('[role=alert]')).toBeNull();
});

const pause = () => new Promise((done) => setTimeout(done, 30));

test('another text: its runs are its own, what was changed is run for it once, and what comes late of the old is dropped', async () => {
  const { asked, ask } = kernel();
  const { update } = await show(ask, { desk: 1 });
  head('L0H0').click();
  asked[0].answer([], 1);
  await vi.waitFor(() => expect(badge()).toBe('edited: L0H0 → zero'));
  head('L0H1').click();
  expect(asked).toHaveLength(2);

  await update({ desk: 2 });
  await tick();
  expect([badge(), big()]).toEqual([undefined, '4.00 undo']); // not the run of the old text
  expect(root.querySelectorAll('button.edit')).toHaveLength(0);
  expect(asked.slice(2).map(({ sites, mode }) => [sites, mode])).toEqual([[['L0H1'], 'zero']]);
  asked[1].answer([], 1);
  await pause();
  expect(badge()).toBeUndefined();
  asked[2].answer([], 2);
  await vi.waitFor(() => expect(badge()).toBe('edited: L0H1 → zero'));
  await pause();
  expect(asked).toHaveLength(3);

  // The same text shown again, as where something beside it has changed.
  await update({ desk: 2, title: 'again' });
  await pause();
  expect([badge(), asked.length]).toEqual(['edited: L0H1 → zero', 3]);
  // An answer of a text whose picture is still on its way is not shown under the old one.
  head('L0H0').click();
  asked[3].answer([], 3);
  await pause();
  expect(badge()).toBe('edited: L0H1 → zero');
  await update({ desk: 3 });
  await vi.waitFor(() => expect(asked).toHaveLength(5));
  asked[4].answer([], 3);
  await vi.waitFor(() => expect(badge()).toBe('edited: L0H0 → zero'));
});

test('another text: a kind of edit that is no longer there is another one, a site that is not there is let go', async () => {
  const { asked, ask } = kernel();
  const { update } = await show(ask, { desk: 1, modes: ['zero', 'patch'] });
  await userEvent.click(root.querySelectorAll('.modes button')[1]);
  head('L0H1').click();
  await vi.waitFor(() => expect(asked).toHaveLength(1));
  asked[0].answer([], 1);
  await vi.waitFor(() => expect(badge()).toBe('edited: L0H1 → patch'));
  await update({ desk: 2, modes: ['zero'] });
  await vi.waitFor(() => expect(asked).toHaveLength(2));
  expect([asked[1].sites, asked[1].mode]).toEqual([['L0H1'], 'zero']);
  asked[1].fail('Unavailable: it has 1 heads');
  await vi.waitFor(() => expect(root.querySelector('[role=alert]')!.textContent).toContain('it has 1 heads'));
  expect([badge(), big()]).toEqual([undefined, '4.00']);
});

test('another text: what Python changes in it is shown, and where Python says the same as before what the reader has', async () => {
  const { asked, ask } = kernel();
  const { update } = await show(ask, { desk: 1, edit: 'L0H1', table: runs(Object.keys(LOGITS)) });
  expect(badge()).toBe('edited: L0H1 → zero');
  head('L0H0').click();
  await vi.waitFor(() => expect(badge()).toBe('edited: L0H0 → zero'));
  await update({ desk: 2, table: null });
  await vi.waitFor(() => expect(asked).toHaveLength(1));
  expect(asked[0].sites).toEqual(['L0H0']);
  await update({ desk: 3, edit: 'L0', table: runs(Object.keys(LOGITS)) });
  await vi.waitFor(() => expect(badge()).toBe('edited: L0 → zero'));
});

test('another text: its table is run from the beginning, and what a scan of the old one gives is not in the list', async () => {
  const scans: { from: number; answer(desk: number): void }[] = [];
  const ask = (_view: string, name: string, args: unknown) =>
    new Promise((resolve) => {
      if (name !== 'scan') return;
      const { from } = args as { from: number };
      const key = Object.keys(LOGITS)[from];
      const arrays = Object.values(arraysOf([key]));
      const answer = (desk: number) =>
        resolve({ value: { desk, entries: [entry(key)], patterns: [false], whole: true, next: from + 1 }, arrays });
      scans.push({ from, answer });
    });
  const { update } = await show(ask as Backend['ask'], { desk: 1, slow: false });
  const list = () => [...root.querySelectorAll('button.edit')].map((one) => one.textContent!.split('→')[0].trim());
  scans[0].answer(1);
  await vi.waitFor(() => expect(scans).toHaveLength(2));
  expect(list()).toEqual(['L0H0']);
  await update({ desk: 2, slow: false });
  await tick();
  expect([list(), scans.map(({ from }) => from)]).toEqual([[], [0, 1, 0]]);
  scans[1].answer(1);
  await pause();
  expect([list(), scans.length]).toEqual([[], 3]);
  scans[2].answer(2);
  await vi.waitFor(() => expect(list()).toEqual(['L0H0']));
  expect(root.textContent).toContain('1 of 4 edits run');
});

test('live, a run that takes long is made on a click only', async () => {
  const { asked, ask } = kernel();
  const clean = runs(['']);
  clean.entries[0].took = 2000;
  await show(ask, { clean });
  head('L0H0').dispatchEvent(new PointerEvent('pointerover', { bubbles: true }));
  await new Promise((done) => setTimeout(done, 120));
  expect(asked).toHaveLength(0);
});

test('a scan that fails says so below the list, and a click goes on', async () => {
  let scans = 0;
  const arrays = Object.values(arraysOf(['L0H1 zero']));
  await show(
    async (_view, name) => {
      if (name !== 'scan') return new Promise(() => {});
      if (scans++ === 0) throw new Error('RuntimeError: out of memory');
      return { value: { entries: [entry('L0H1 zero')], patterns: [false], whole: false, next: 1 }, arrays };
    },
    { slow: false, places: 1 },
  );
  const alert = () => root.querySelector('.bench [role=alert]')?.textContent;
  await vi.waitFor(() => expect(alert()).toBe('The other edits were not run: RuntimeError: out of memory'));
  root.querySelector<HTMLButtonElement>('button.link')!.click();
  await vi.waitFor(() => expect(root.querySelector('button.edit')!.textContent).toContain('L0H1'));
  expect(alert()).toBeUndefined();
});

const nexts = () => [
  root.querySelector('.bench .column:nth-of-type(2) h4')!.textContent.replace(/\s+/g, ' ').trim(),
  ...[...root.querySelectorAll('table')[0].querySelectorAll('tbody th')].map((name) => name.textContent),
];
const token = (i: number) => root.querySelector<HTMLElement>(`[data-i="${i}"]`)!;

test('the next tokens are those of the token that is clicked, edited or not; Esc goes back and edits stay', async () => {
  await show(undefined, { table: { ...runs(Object.keys(LOGITS)), ...AHEAD } });
  expect(nexts()).toEqual(['Next token after ·c', '·b', '·c']);
  await userEvent.click(token(1)); // no run of the model as it is has others: its own stay
  expect(nexts()[0]).toBe('Next token after ·c');
  head('L0H1').click();
  await vi.waitFor(() => expect(nexts()).toEqual(['Next token after ·b', 'x', 'y']));
  const cells = [...root.querySelectorAll('table')[0].querySelectorAll('tbody td')].map((cell) => cell.textContent);
  expect(cells.slice(1, 4)).toEqual(['0.500', '0.250', '−0.250']);
  await userEvent.keyboard('{Escape}');
  await vi.waitFor(() => expect(nexts()[0]).toBe('Next token after ·c'));
  expect(badge()).toBe('edited: L0H1 → zero');
});

test('live, the next tokens of another position are asked for', async () => {
  const asked: unknown[] = [];
  await show(async (_view, name, args) => {
    if (name !== 'next') return new Promise(() => {});
    asked.push(args);
    return { value: { next: ['·x'] }, arrays: [{ ...array([0.5, 0.5], 2, 1), data: Float32Array.of(0.5, 0.5) }] };
  });
  await userEvent.click(token(0));
  await vi.waitFor(() => expect(nexts()).toEqual(['Next token after a', '·x']));
  expect(asked).toEqual([{ sites: [], mode: '', position: 0 }]);
});

test('on paper what is part of the picture stays, and what changes it goes', async () => {
  await show(undefined, { edit: 'L0H1' });
  const seen = (selector: string) =>
    [...root.querySelectorAll<HTMLElement>(selector)].filter((one) => one.checkVisibility()).length;
  const shown = () => [seen('button.head'), seen('button.layer'), seen('.parts button'), seen('button.edit')];
  const before = shown();
  expect(before).toEqual([2, 1, 2, 4]);
  expect(seen('.modes button')).toBe(2);
  expect(seen('.neurons button')).toBe(1);
  setPaper(figure, { width_mm: 174, ground: 'white', caption: false });
  await tick();
  expect(shown()).toEqual(before);
  expect([seen('.modes button'), seen('.neurons button'), seen('.big button'), seen('input')]).toEqual([0, 0, 0, 0]);
  expect(badge() ?? root.querySelector('.edit')!.textContent).toBe('edited: L0H1 → zero'); // the picture says what it is of
});

test('heads, parts and edits are one stop of the Tab key each; arrows go on, past what cannot be changed', async () => {
  await show(undefined);
  const stops = (selector: string) =>
    [...root.querySelectorAll<HTMLButtonElement>(selector)].filter((one) => one.tabIndex === 0 && !one.disabled);
  expect(['.heads button', '.parts button', 'button.edit'].map((group) => stops(group).length)).toEqual([1, 1, 1]);
  stops('.heads button')[0].focus();
  await userEvent.keyboard('{ArrowRight}{ArrowRight}');
  expect(root.activeElement).toBe(head('L0H1'));
  await userEvent.keyboard('{ArrowRight}{ArrowUp}');
  expect(root.activeElement).toBe(head('L0H1'));
  await userEvent.keyboard('{Enter}');
  await vi.waitFor(() => expect(badge()).toBe('edited: L0H1 → zero'));
  expect(stops('.heads button')).toEqual([head('L0H1')]);
  stops('button.edit')[0].focus();
  await userEvent.keyboard('{ArrowDown}');
  expect(root.activeElement!.textContent).toContain('L0H0');
});

test('a note has its number at the head, the layer, the neuron or the token that it is about', async () => {
  const notes = [
    { text: 'head', at: { layers: [0], heads: [1] } },
    { text: 'layer', at: { layers: [0] } },
    { text: 'neuron', at: { layers: [0], neurons: [7] } },
    { text: 'token', at: { positions: [1] } },
    { text: 'nowhere', at: { layers: [3], heads: [1] } },
  ];
  await show(undefined, { frame: { title: 'Lab bench', provenance: ['model'], edits: [], notes } });
  await vi.waitFor(() => expect(root.querySelectorAll('.mark')).toHaveLength(4));
  const corner = (element: Element) => {
    const { right, top } = element.getBoundingClientRect();
    return [right, top];
  };
  const about = [head('L0H1'), ...['L0', 'L0N7'].map((site) => root.querySelector(`[data-site=${site}]`)!)];
  [...about, root.querySelector('[data-i="1"]')!].forEach((element, i) => {
    const mark = root.querySelectorAll<HTMLElement>('.mark')[i];
    const frame = mark.parentElement!.getBoundingClientRect();
    const at = [parseFloat(mark.style.left) + frame.left, parseFloat(mark.style.top) + frame.top];
    expect(Math.hypot(at[0] - corner(element)[0], at[1] - corner(element)[1])).toBeLessThan(3);
  });
});

test('thumbnails that are too small for their cells are pooled, not sampled, and say so', async () => {
  await show(undefined);
  const said = () => root.querySelector('.heads p')!.textContent;
  expect(said()).toBe('weights from 0 to 1');
  abort.abort();
  document.body.replaceChildren();
  // 20 heads leave 8 pixels for 40 cells: of each the one weight that is not 0 is to be seen
  const weights = Array.from({ length: 20 * 1600 }, (_, i) => (i % 1600 === 1600 - 38 ? 1 : 0));
  await show(undefined, { layers: [[0, 20]], step: 2 }, { patterns: array(weights, 20, 40, 40) });
  expect(said()).toBe('weights from 0 to 1, max of 10 × 10 cells');
  const canvas = head('L0H3').querySelector('canvas')!;
  const pixels = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height).data;
  const drawn = new Set(Array.from({ length: pixels.length / 4 }, (_, i) => pixels[4 * i + 3] && pixels[4 * i]));
  drawn.delete(0);
  expect(drawn.size).toBe(2);
});

test('where no token has a loss the text has no colours, and what stands at a position is not called the next token', async () => {
  const [nan, key] = [array([NaN, NaN, NaN], 1, 3), 'L0H1 zero'];
  const arrays = { ...arraysOf([key]), loss1: nan, loss1clean: nan };
  await show(undefined, { lossless: 'it reads from both sides', table: runs([key]) }, arrays);
  head('L0H1').click();
  await vi.waitFor(() => expect(big()).toContain('4.00 → −2.00'));
  expect(nexts()[0]).toBe('Token at ·c');
  expect(root.textContent).toContain('no loss: it reads from both sides');
  expect(root.textContent).not.toContain('Loss of the tokens');
  expect(root.querySelector('figure[aria-label*="nats"]')).toBeNull();
  expect(token(1).style.backgroundColor).toBe('');
});

test('the edit that Python opens with is shown at first', async () => {
  await show(undefined, { edit: 'L0H1' });
  expect(badge()).toBe('edited: L0H1 → zero');
});

test('numbers: gains are losses lost, limits are round, the largest size comes first, thumbnails of the last layers', () => {
  expect([...gains(Float32Array.of(NaN, 2), Float32Array.of(NaN, 0.5))]).toEqual([NaN, 1.5]);
  expect([0.13, 0.5, 0.7, 3, 14].map(roundUp)).toEqual([0.2, 0.5, 1, 5, 20]);
  expect(bySize([1, NaN, -3, 2])).toEqual([2, 3, 0]);
  expect([signed(0.004, 2), signed(-0.5, 2), signed(2, 1)]).toEqual(['0', '−0.50', '+2.0']);
  expect(axis(-2.4, 9).map(({ at }) => at)).toEqual([0, 5]);
  const tiles = tilesOf(array([1, 1, 2, 2, 3, 3], 3, 1, 2), array([9, 9], 1, 1, 2));
  expect(tiles.map(({ values }) => values[0])).toEqual([1, 2, 9]);
});
