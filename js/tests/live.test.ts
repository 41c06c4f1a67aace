/** A text box whose kernel answers late, in any order, or with an error: what stands on the screen is never older. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { page, userEvent } from 'vitest/browser';
import type { Answer, Backend } from '../src/backend';
import type { Figure, FigureJson } from '../src/figure.svelte';
import { KernelBackend, type WidgetState } from '../src/kernel';
import '../src/labviews';
import { mountFigure } from '../src/mount';
import { random } from './random';

const FRAME = { title: 'Say', provenance: [], edits: [] };
let abort: AbortController;
let figure: Figure;
let root: ShadowRoot;

beforeEach(() => page.viewport(1000, 800));
afterEach(() => {
  abort.abort();
  document.body.replaceChildren();
});

/** The figure that Python sends for a text; one token says which text it is of. */
function figureOf(text: string, version: number, more: object = {}): FigureJson {
  const tokens = { label: [text], text: [text], group: [0], special: [false], role: [null], ids: null, piece: [''] };
  const picture = { frame: FRAME, tokens, n_bytes: null, values: null, quantity: { name: '', unit: '' }, scale: null };
  return {
    layout: {
      kind: 'column',
      items: [
        { kind: 'view', id: '0' },
        { kind: 'view', id: '1' },
      ],
    },
    views: {
      '0': { kind: 'live', props: { frame: FRAME, text, error: null, took: 1, saved: false, controls: [], ...more } },
      '1': { kind: 'tokens', props: { ...picture, reference: null } },
    },
    arrays: {},
    selection: {},
    version,
  } as unknown as FigureJson;
}

async function show(backend: Backend, more: object = {}): Promise<void> {
  abort = new AbortController();
  figure = await mountFigure(document.body, figureOf('first', 1, more), backend, abort.signal);
  root = figure.host.shadowRoot!;
}

const load = async () => undefined;
const box = () => root.querySelector('textarea')!;
const shown = () => root.querySelector<HTMLElement>('[data-i="0"]')!.textContent;

function type(text: string): void {
  box().value = text;
  box().dispatchEvent(new InputEvent('input', { bubbles: true }));
}

/** anywidget's model in front of a kernel that `hear`s messages; `say` and `show` are what comes back. */
function kernel(hear: (message: { seq: number; args: { text: string } }) => void) {
  const listeners: Record<string, ((...args: never[]) => void)[]> = {};
  let state = figureOf('first', 1);
  const model = {
    on: (name: string, listener: (...args: never[]) => void) => (listeners[name] ??= []).push(listener),
    off: () => {},
    get: (name: keyof WidgetState) => ({ figure: state, arrays: {}, selection: {}, code: undefined })[name],
    set: () => {},
    save_changes: () => {},
    send: hear,
  };
  const backend = new KernelBackend(model as never);
  const emit = (name: string, ...args: unknown[]) =>
    (listeners[name] ?? []).forEach((listener) => listener(...(args as never[])));
  return {
    backend,
    show(json: FigureJson) {
      state = json;
      emit('change:figure');
      void figure.update(json);
    },
    say: (message: object) => emit('msg:custom', message, []),
  };
}

test('a thousand edits, answered late and in any order: nothing older is ever shown, and the last text is', async () => {
  const next = random(7);
  let version = 1;
  const late: (() => void)[] = [];
  const asked: string[] = [];
  // A backend that keeps to nothing: every question is answered, whenever, and figures overtake each other.
  await show({
    live: true,
    load,
    ask: (_view, _name, args) =>
      new Promise<Answer>((resolve) => {
        const { text } = args as { text: string };
        asked.push(text);
        const mine = ++version;
        late.push(() => void figure.update(figureOf(text, mine)));
        late.push(() => resolve({ value: null, arrays: [] }));
      }),
  });
  const some = async () => {
    while (late.length && next() < 0.6) {
      late.splice(Math.floor(next() * late.length), 1)[0]();
      await Promise.resolve();
      check();
    }
  };
  let newest = -1;
  const check = () => {
    const place = asked.lastIndexOf(shown()!);
    expect(place).toBeGreaterThanOrEqual(newest);
    newest = place;
  };
  for (let i = 0; i < 1000; i++) {
    type(`text ${i}`);
    await some();
  }
  while (late.length) late.splice(Math.floor(next() * late.length), 1)[0]();
  await vi.waitFor(() => expect(shown()).toBe('text 999'));
  expect(box().value).toBe('text 999');
  expect(asked).toHaveLength(1000);
});

test('a kernel is asked one text at a time, and of those that wait the newest', async () => {
  const heard: { seq: number; args: { text: string } }[] = [];
  const there = kernel((message) => heard.push(message));
  await show(there.backend);
  for (const text of ['a', 'ab', 'abc', 'abcd']) type(text);
  await vi.waitFor(() => expect(heard.map((message) => message.args.text)).toEqual(['a']));
  there.show(figureOf('a', 2));
  there.say({ type: 'reply', seq: heard[0].seq, value: null, headers: [] });
  await vi.waitFor(() => expect(heard.map((message) => message.args.text)).toEqual(['a', 'abcd']));
  expect(box().value).toBe('abcd'); // the picture of "a" does not take back what was typed since
  there.show(figureOf('abcd', 3));
  there.say({ type: 'reply', seq: heard[1].seq, value: null, headers: [] });
  await vi.waitFor(() => expect(shown()).toBe('abcd'));
  await vi.waitFor(() => expect(root.textContent).toMatch(/key to picture \d+ ms, 1 ms of it the function/));
});

test('a kernel that does not answer is said to be busy, and the earlier picture stays', async () => {
  const there = kernel(() => {});
  await show(there.backend);
  type('new');
  await vi.waitFor(() => expect(root.textContent).toContain('Kernel busy. Showing the picture of an earlier text.'));
  expect(shown()).toBe('first');
});

test('a slow function is asked when one pauses', async () => {
  const heard: string[] = [];
  const there = kernel((message) => heard.push(message.args.text));
  await show(there.backend, { took: 100 });
  for (const text of ['a', 'ab', 'abc']) {
    type(text);
    await new Promise((done) => setTimeout(done, 20));
  }
  expect(heard).toEqual([]);
  await vi.waitFor(() => expect(heard).toEqual(['abc']));
});

test('what is typed while a slow function runs stays in the box until it has its picture', async () => {
  const heard: { seq: number; args: { text: string } }[] = [];
  const there = kernel((message) => heard.push(message));
  await show(there.backend, { took: 40 });
  const answer = (i: number, text: string) => {
    there.show(figureOf(text, i + 2, { took: 40 }));
    there.say({ type: 'reply', seq: heard[i].seq, value: null, headers: [] });
  };
  type('a');
  await vi.waitFor(() => expect(heard).toHaveLength(1));
  type('ab'); // waits for a pause, and is not asked for yet when the picture of "a" comes
  answer(0, 'a');
  await vi.waitFor(() => expect(shown()).toBe('a'));
  expect(box().value).toBe('ab');
  await vi.waitFor(() => expect(heard[1]?.args.text).toBe('ab'));
  answer(1, 'ab');
  await vi.waitFor(() => expect(root.textContent).toMatch(/key to picture \d+ ms/));
  expect([shown(), box().value]).toEqual(['ab', 'ab']);
});

test('an error stands in place, and goes with the next good picture', async () => {
  let fail = true;
  await show({
    live: true,
    load,
    ask: async (_view, _name, args) => {
      const { text } = args as { text: string };
      if (fail) await figure.update(figureOf('first', 2, { error: 'ValueError: no' }));
      else await figure.update(figureOf(text, 3));
      return { value: null, arrays: [] };
    },
  });
  type('bad');
  await vi.waitFor(() =>
    expect(root.querySelector('[role=alert]')!.textContent).toContain(
      'ValueError: no · Showing the last good picture.',
    ),
  );
  expect([shown(), box().value]).toEqual(['first', 'bad']);
  fail = false;
  type('good');
  await vi.waitFor(() => expect(shown()).toBe('good'));
  expect(root.querySelector('[role=alert]')).toBeNull();
});

test('what Python sets stands in the box; keys in the box reach nobody else; the scale can be reset', async () => {
  const asked: unknown[] = [];
  await show({
    live: true,
    load,
    ask: async (_view, _name, args) => (asked.push(args), { value: null, arrays: [] }),
  });
  await figure.update(figureOf('by Python', 2));
  await vi.waitFor(() => expect(box().value).toBe('by Python'));
  const outside = vi.fn();
  document.addEventListener('keydown', outside);
  box().focus();
  await userEvent.keyboard('?x');
  expect(box().value).toBe('by Python?x');
  expect(outside).not.toHaveBeenCalled();
  await userEvent.keyboard('{Alt>}r{/Alt}');
  await vi.waitFor(() => expect(asked.at(-1)).toEqual({ text: 'by Python?x', reset: true }));
  document.removeEventListener('keydown', outside);
});

test('a kernel that is gone is said to be, at every key, and the box is asked no less', async () => {
  let gone = true;
  const heard: string[] = [];
  const there = kernel((message) => {
    if (gone) throw new Error('Cannot send');
    heard.push(message.args.text);
  });
  await show(there.backend);
  const alert = () => root.querySelector('[role=alert]')?.textContent;
  for (const text of ['a', 'ab', 'abc']) {
    type(text);
    await vi.waitFor(() => expect(alert()).toContain('The kernel was restarted or has ended: run the cell again.'));
  }
  await new Promise((done) => setTimeout(done, 350));
  expect(root.textContent).not.toContain('Kernel busy');
  await expect(there.backend.load('x')).rejects.toThrow('run the cell again');
  gone = false;
  type('abcd');
  await vi.waitFor(() => expect(heard).toEqual(['abcd']));
});

test('an error of an earlier text gives way to the word that a newer one is awaited', async () => {
  await show({ live: true, load, ask: () => new Promise(() => {}) }, { error: 'ValueError: no' });
  expect(root.querySelector('[role=alert]')).not.toBeNull();
  type('newer');
  await vi.waitFor(() => expect(root.textContent).toContain('Showing the picture of an earlier text.'));
  expect(root.querySelector('[role=alert]')).toBeNull();
});

test('what is wrong stays in the box until it is mended, there or by Python', async () => {
  await show({ live: true, load, ask: async () => ({ value: null, arrays: [] }) });
  type('bad');
  await figure.update(figureOf('first', 2, { error: 'ValueError: no' }));
  await vi.waitFor(() => expect(root.querySelector('[role=alert]')).not.toBeNull());
  expect(box().value).toBe('bad');
  await figure.update(figureOf('first', 3)); // set by a cell: the text of the picture, which has not changed
  await vi.waitFor(() => expect(box().value).toBe('first'));
});

test('in a file the box is closed and says why', async () => {
  await show({ live: false, load });
  expect(box().disabled).toBe(true);
  expect(root.textContent).toContain('Typing needs a kernel: run the notebook.');
  expect(shown()).toBe('first');
});

test('controls stand apart from each other and from the time', async () => {
  const controls = [
    ['layer', '1'],
    ['site', 'loss'],
  ];
  await show({ load, live: true }, { controls });
  expect(root.querySelector('.note')!.textContent.trim()).toMatch(/^layer 1 · site loss · function 1 ms\s/);
});
