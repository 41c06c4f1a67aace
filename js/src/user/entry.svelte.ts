/** The props of a user's component: values from Python, of which some are bound and come back. */
import { conceal, reveal, same } from './values';

/** Called by a bound prop that Python has not set, with the component's default. */
export const BEGIN = Symbol('begin');
export type Begin = (key: string, value: unknown) => void;

/** What Python sends with a user's component (mechviz/_svelte/view.py). */
export interface UserProps {
  /** "Thing", and the key of its module. */
  name: string;
  component: string;
  values: Record<string, unknown>;
  /** Props that the component may write. */
  bindable: string[];
  /** Who wrote the bound values last, and how often: our own writes come back and must not undo newer ones. */
  written: { client: string; count: number } | null;
  /** Python's message when the edited file could not be compiled. */
  failed: string | null;
}

class Cell {
  value = $state.raw<unknown>();
  /** As it last came from Python. */
  received: unknown = undefined;
}

export class Entry {
  readonly client = crypto.getRandomValues(new Uint32Array(2)).join('-');
  #cells = new Map<string, Cell>();
  #count = 0;
  #dirty = new Set<string>();
  #bindable = new Set<string>();
  #keys = $state.raw('');

  /** `send` hears of what the component has written. */
  constructor(readonly send: (change: { client: string; count: number; values: Record<string, unknown> }) => void) {}

  /** Take what Python shows now. */
  receive({ values, bindable, written }: UserProps): void {
    this.#bindable = new Set(bindable);
    const stale = written?.client === this.client && written.count < this.#count;
    for (const key of new Set([...Object.keys(values), ...bindable, ...this.#cells.keys()])) {
      const cell = this.#cell(key);
      if (same(values[key], cell.received)) continue;
      cell.received = values[key];
      const own = written?.client === this.client && this.#bindable.has(key);
      if (!own && !(stale && this.#bindable.has(key))) cell.value = reveal(values[key]);
    }
    this.#keys = [...new Set([...Object.keys(values), ...bindable])].join('\n');
  }

  /** The object that the component is given; a new one when other props are given, never for other values. */
  readonly props = $derived.by(() => {
    const props: Record<PropertyKey, unknown> = { [BEGIN]: this.#begin };
    for (const key of this.#keys ? this.#keys.split('\n') : []) {
      const cell = this.#cell(key);
      const bound = this.#bindable.has(key);
      Object.defineProperty(props, key, {
        get: () => cell.value,
        set: bound ? (value: unknown) => this.#write(key, value) : undefined,
        enumerable: true,
        configurable: true,
      });
    }
    return props;
  });

  #cell(key: string): Cell {
    let cell = this.#cells.get(key);
    if (!cell) this.#cells.set(key, (cell = new Cell()));
    return cell;
  }

  #begin: Begin = (key, value) => {
    const cell = this.#cells.get(key);
    if (cell && cell.value === undefined) cell.value = value;
  };

  #write(key: string, value: unknown): void {
    const cell = this.#cell(key);
    const first = cell.value === undefined && cell.received === undefined && !this.#count;
    cell.value = value;
    if (first && value !== null && this.#starting) return; // a component of Svelte 4 that sets its default
    this.#dirty.add(key);
    if (this.#dirty.size === 1) queueMicrotask(() => this.#flush());
  }

  #starting = true;

  /** The component has been drawn: from here on what it writes is news. */
  started(): void {
    this.#starting = false;
  }

  #flush(): void {
    const values = Object.fromEntries([...this.#dirty].map((key) => [key, conceal(this.#cell(key).value, key)]));
    // Of several messages that wait for a busy kernel only the newest is sent: each holds all that was ever written.
    this.#ever = { ...this.#ever, ...values };
    this.#dirty.clear();
    this.send({ client: this.client, count: ++this.#count, values: this.#ever });
  }

  #ever: Record<string, unknown> = {};
}
