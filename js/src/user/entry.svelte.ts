/** The props of a user's component: values from Python, of which some are bound and come back. */
import type { FrameJson } from '../views/types';
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
  /** By client and prop: how many of its writes Python has taken. */
  heard: Record<string, Record<string, number>>;
  /** By prop: the client whose write its value is. */
  writers: Record<string, string>;
  /** Python's message when the edited file could not be compiled. */
  failed: string | null;
  frame?: FrameJson;
}

/** What the component has written and Python has not confirmed yet. */
export interface Change {
  client: string;
  values: Record<string, unknown>;
  /** By prop: the number of the write, from 1. */
  counts: Record<string, number>;
}

/** What the component has written and Python has not confirmed yet. */
export interface Change {
  client: string;
  values: Record<string, unknown>;
  /** By prop: the number of the write, from 1. */
  counts: Record<string, number>;
}

class Cell {
  value = $state.raw<unknown>();
  /** As it last came from Python. */
  received: unknown = undefined;
  /** How many writes of the component's have been sent, and whether the value is its own. */
  count = 0;
  own = false;
}

export class Entry {
  readonly client = crypto.getRandomValues(new Uint32Array(2)).join('-');
  #cells = new Map<string, Cell>();
  #dirty = new Set<string>();
  /** Concealed, by key: written and not heard of since. */
  #pending: Record<string, unknown> = {};
  #bindable = new Set<string>();
  #keys = $state.raw('');

  /** `send` hears of what the component has written, `refuse` of what it wrote and cannot be sent. */
  constructor(
    readonly send: (change: Change) => void,
    readonly refuse: (error: unknown) => void,
  ) {}

  /** Take what Python shows now. */
  receive({ values, bindable, heard, writers }: UserProps): void {
    this.#bindable = new Set(bindable);
    const ours = heard[this.client] ?? {};
    for (const key of new Set([...Object.keys(values), ...bindable, ...this.#cells.keys()])) {
      const cell = this.#cell(key);
      const known = same(values[key], cell.received);
      cell.received = values[key];
      // Python takes our last write after whatever this message tells, so that counts.
      if (this.#dirty.has(key) || (ours[key] ?? 0) < cell.count) continue;
      delete this.#pending[key];
      const echo = cell.own && writers[key] === this.client;
      if (echo || (known && !cell.own)) continue;
      cell.value = reveal(values[key]);
      cell.own = false;
    }
    this.#keys = [...new Set([...Object.keys(values), ...bindable])].join('\n');
  }

  /** The object that the component is given; a new one when other props are given, never for other values. */
  readonly props = $derived.by(() => {
    const props: Record<PropertyKey, unknown> = {};
    Object.defineProperty(props, BEGIN, { value: this.#begin }); // not for {...rest}
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
    const first = cell.value === undefined && cell.received === undefined && !cell.count;
    cell.value = value;
    if (first && value !== null && this.#starting) return; // a component of Svelte 4 that sets its default
    cell.own = true;
    if (!this.#dirty.size) queueMicrotask(() => this.#flush());
    this.#dirty.add(key);
  }

  #starting = true;

  /** The component has been drawn: from here on what it writes is news. */
  started(): void {
    this.#starting = false;
  }

  #flush(): void {
    const dirty = [...this.#dirty];
    this.#dirty.clear();
    for (const key of dirty) {
      const cell = this.#cell(key);
      try {
        this.#pending[key] = conceal(cell.value, key);
        cell.count += 1;
      } catch (error) {
        delete this.#pending[key];
        this.refuse(error);
      }
    }
    // Of several messages that wait for a busy kernel only the newest is sent: it holds all that has not been heard.
    const keys = Object.keys(this.#pending);
    const counts = Object.fromEntries(keys.map((key) => [key, this.#cell(key).count]));
    if (keys.length) this.send({ client: this.client, values: { ...this.#pending }, counts });
  }
}
