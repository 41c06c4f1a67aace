/** Bound props of a user's component: Python and the browser agree in the end, whoever wrote in between. */
import { expect, test } from 'vitest';
import { BEGIN, Entry, type Begin, type Change, type UserProps } from '../src/user/entry.svelte';

/** Python's side, as mechviz/_svelte/view.py has it; what it shows arrives when a test says so. */
class Python {
  readonly sent: Change[] = [];
  readonly refused: unknown[] = [];
  readonly entry = new Entry(
    (change) => this.sent.push(change),
    (error) => this.refused.push(error),
  );
  heard: UserProps['heard'] = {};
  writers: UserProps['writers'] = {};

  constructor(public values: Record<string, unknown>) {
    this.show();
    this.entry.started();
  }

  /** Takes all that was sent. */
  hear(): void {
    for (const { client, values, counts } of this.sent.splice(0)) {
      const heard = (this.heard[client] ??= {});
      for (const [key, value] of Object.entries(values)) {
        if (counts[key] <= (heard[key] ?? 0)) continue;
        this.values = { ...this.values, [key]: value };
        heard[key] = counts[key];
        this.writers[key] = client;
      }
    }
  }

  /** `view.update(…)`. */
  update(changes: Record<string, unknown>): void {
    this.values = { ...this.values, ...changes };
    for (const key of Object.keys(changes)) delete this.writers[key];
  }

  /** The browser is told. */
  show(): void {
    const { heard, writers, values } = structuredClone({
      heard: this.heard,
      writers: this.writers,
      values: this.values,
    });
    this.entry.receive({ name: 'Thing', component: 'k', failed: null, bindable: ['a', 'b'], values, heard, writers });
  }

  get shown(): Record<string, unknown> {
    return { ...(this.entry.props as Record<string, unknown>) };
  }
}

const written = () => Promise.resolve(); // writes are sent together, in a microtask

test('what is written is sent once, and its echo is not taken for news', async () => {
  const python = new Python({ a: 1, b: 1, c: 0 });
  const list = [1, 2];
  python.entry.props.a = [0];
  python.entry.props.a = list;
  await written();
  expect(python.sent).toEqual([{ client: python.entry.client, values: { a: [1, 2] }, counts: { a: 1 } }]);
  python.hear();
  python.show();
  expect(python.shown.a).toBe(list); // not a copy of it
  python.entry.props.b = 5;
  await written();
  expect(python.sent[0].values).toEqual({ b: 5 });
});

test('a later write of one prop does not bring back what Python has changed since', async () => {
  const python = new Python({ a: 1, b: 1, c: 0 });
  python.entry.props.a = 2;
  await written();
  python.hear();
  python.update({ a: 7 });
  python.entry.props.b = 5; // before the browser has seen the 7
  await written();
  python.hear();
  python.show();
  expect(python.values).toEqual({ a: 7, b: 5, c: 0 });
  expect(python.shown).toEqual({ a: 7, b: 5, c: 0 });
});

test('a write that is on its way outlives an older message from Python', async () => {
  const python = new Python({ a: 1, b: 1, c: 0 });
  python.entry.props.a = 3;
  python.update({ a: 7, c: 9 });
  python.show();
  await written();
  python.show();
  expect(python.shown).toEqual({ a: 3, b: 1, c: 9 });
  python.hear();
  python.show();
  expect([python.shown.a, python.values.a]).toEqual([3, 3]);
});

test('Python may answer a write with the value that stood before', async () => {
  const python = new Python({ a: 5, b: 1, c: 0 });
  python.entry.props.a = 9;
  await written();
  python.hear();
  python.update({ a: 5 }); // on_change refuses what is above 5
  python.show();
  expect(python.shown.a).toBe(5);
  python.entry.props.a = 9;
  await written();
  expect(python.sent[0].counts).toEqual({ a: 2 });
});

test('what cannot be sent is said, and the next write goes out', async () => {
  const python = new Python({ a: 1, b: 1, c: 0 });
  python.entry.props.a = () => 1;
  python.entry.props.b = 2;
  await written();
  expect(String(python.refused[0])).toBe('TypeError: a cannot be sent to Python: it is a function');
  expect(python.sent.map(({ values }) => values)).toEqual([{ b: 2 }]);
  python.entry.props.a = 4;
  await written();
  expect(python.sent[1].values).toEqual({ a: 4, b: 2 });
  python.hear();
  python.update({ a: 6 });
  python.show();
  expect(python.shown.a).toBe(6);
});

test('a default of the component is no news, and Python may set it later', async () => {
  const python = new Python({ b: 1, c: 0 });
  (python.entry.props[BEGIN] as Begin)('a', 20);
  await written();
  expect([python.shown.a, python.sent]).toEqual([20, []]);
  python.update({ a: 4 });
  python.show();
  expect(python.shown.a).toBe(4);
});
