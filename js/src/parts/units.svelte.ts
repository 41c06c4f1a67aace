/** The layer of neurons that is open: which of them stand side by side, and their numbers as they come. */
import { untrack } from 'svelte';
import { Superseded } from '../backend';
import { LazyArray, type Figure } from '../figure.svelte';
import type { NdArray } from '../wire';
import { ordered, type Column, type LayerJson, type Order, type Part, type Unit } from './units';

/** Milliseconds after which the reader is told that something is awaited. */
const LATE = 250;
/** Columns that were asked for are held up to this many. */
const HELD = 2048;

export interface Asked {
  figure: Figure;
  view: string;
  layers: LayerJson[];
  open: number;
  /** All that there is stands in the parts. */
  whole: boolean;
  units: number;
  count: number;
  signed: boolean;
  /** The order of the parts. */
  first: Order;
  order: Order;
  at: number | undefined;
  start: number;
  /** Units of any layer whose numbers are wanted. */
  wanted: Unit[];
}

/** Made while a component is set up. */
export class Units {
  problem = $state('');
  late = $state(false);
  #asked: () => Asked;
  #columns = $state.raw(new Map<string, Column>());
  #answer = $state.raw<{ question: string; layer: number; ids: number[]; start: number }>();
  #layer = $derived.by(() => this.#asked().layers[this.#asked().open]);
  /** This copy of a figure does not hold the layer. */
  absent = $derived.by(() => [this.#layer.facts, ...this.#layer.parts.map((part) => part.values)].some(isAbsent));
  /** Ends of the scale of the open layer, and what does not fit it. */
  facts = $derived.by(() => arrayOf(this.#layer.facts)?.data);
  /** Units that came with the layer, in the first order. */
  #kept = $derived.by(() => this.#layer.parts.flatMap((part) => Array.from(arrayOf(part.ids)?.data ?? [])));
  /** How many units of the layer are there to be shown. */
  #asks = $derived.by(() => this.#asked().figure.live && !this.#asked().whole);
  total = $derived.by(() => (this.#asks ? this.#asked().units : this.#kept.length));
  #question = $derived.by(() => {
    const { open, order, at, start } = this.#asked();
    return `${open} ${order} ${at ?? ''} ${start}`;
  });
  #first = $derived.by(() => {
    const { order, first, start } = this.#asked();
    return order === first && start === 0;
  });
  #sorted = $derived.by(() => {
    const { open, order, at, signed, first } = this.#asked();
    if (order === first || !this.#kept.every((id) => this.column({ layer: open, id }))) return this.#kept;
    const like = order !== 'similar' || this.column({ layer: open, id: at! }) ? order : first;
    return ordered(this.#kept, (id) => this.column({ layer: open, id })!, like, at, signed);
  });
  /** The units that stand side by side, and the place of the first in the order. */
  shown = $derived.by((): { ids: number[]; start: number } => {
    const { open, start, count } = this.#asked();
    if (!this.#asks) return { ids: this.#sorted.slice(start, start + count), start };
    if (this.#first) return { ids: this.#kept.slice(0, count), start };
    const answer = this.#answer;
    if (answer?.layer === open) return answer; // what was shown stays until the new one is here
    return { ids: this.#kept.slice(0, count), start: 0 };
  });
  /** What is shown is not yet what was asked for. */
  waits = $derived.by(() => this.#asks && !this.#first && this.#answer?.question !== this.#question);

  constructor(asked: () => Asked) {
    this.#asked = asked;
    $effect(() => this.#fetch());
    $effect(() => this.#askSlice());
    $effect(() => this.#askColumns());
  }

  /** The numbers of a unit, where they are here. */
  column({ layer, id }: Unit): Column | undefined {
    const asked = this.#columns.get(`${layer} ${id}`);
    if (asked) return asked;
    for (const part of this.#asked().layers[layer]?.parts ?? []) {
      const [ids, values] = [arrayOf(part.ids), arrayOf(part.values)];
      const k = ids && values ? ids.data.indexOf(id as never) : -1;
      if (k >= 0) return columnOf(k, values!, arrayOf(part.gate), arrayOf(part.up));
    }
    return undefined;
  }

  /** Whether this copy of a figure does not hold the numbers of a unit: nothing more comes. */
  lacks({ layer, id }: Unit): boolean {
    if (this.#asked().figure.live) return false;
    const parts = this.#asked().layers[layer].parts.map(({ ids }) => ids);
    const here = (ids: Part) => arrayOf(ids)?.data.includes(id as never);
    return !parts.some(here) && parts.every((ids) => arrayOf(ids) || isAbsent(ids));
  }

  /** The strongest units of a position in the whole layer. */
  strongest(position: number): { id: number; value: number }[] {
    const [ids, values] = [arrayOf(this.#layer.top), arrayOf(this.#layer.top_values)];
    if (!ids || !values) return [];
    const few = ids.shape[1];
    return Array.from({ length: few }, (_, k) => ({
      id: ids.data[position * few + k],
      value: values.data[position * few + k],
    })).filter(({ value }) => !Number.isNaN(value));
  }

  /** The place in the order at which the page with a unit begins; undefined where it is not among those that are here. */
  async pageWith(id: number): Promise<number | undefined> {
    const { figure, view, open, order, at, count } = this.#asked();
    if (!this.#asks) {
      const parts = this.#layer.parts.flatMap(({ ids, values }) => [ids, values]);
      await Promise.all(parts.map((part) => part instanceof LazyArray && part.load()));
      if (open !== this.#asked().open) return undefined;
      const found = this.#sorted.indexOf(id);
      return found < 0 ? undefined : Math.floor(found / count) * count;
    }
    const answer = await figure.ask(view, 'slice', { layer: open, order, at, count, around: id });
    if (!answer) return undefined;
    const { start } = answer.value as { start: number };
    this.#take(open, answer.arrays, `${open} ${order} ${at ?? ''} ${start}`, start);
    return start;
  }

  retry(): void {
    this.#fetch();
    this.#askSlice();
  }

  #fetch(): (() => void) | undefined {
    const { facts, top, top_values, parts } = this.#layer;
    // Of a layer that a kernel can be asked about the first part is enough.
    const some = this.#asks ? parts.slice(0, 1) : parts;
    const wanted = some.flatMap(({ ids, values, gate, up }) => [ids, values, gate, up]);
    const awaited = [facts, top, top_values, ...wanted].filter(
      (part): part is LazyArray => part instanceof LazyArray && !part.value && !part.absent,
    );
    this.problem = '';
    if (!awaited.length) return;
    const told = this.#tell();
    Promise.all(awaited.map((part) => part.load())).then(told, (error: Error) => {
      told();
      this.problem = error.message;
    });
    return told;
  }

  #askSlice(): (() => void) | undefined {
    if (!this.waits) return;
    const question = this.#question;
    const { figure, view, open, order, at, start, count } = untrack(this.#asked);
    return this.#await(figure.ask(view, 'slice', { layer: open, order, at, start, count }), (arrays) =>
      this.#take(open, arrays, question, start),
    );
  }

  #askColumns(): (() => void) | undefined {
    const { figure, view, wanted, layers, open } = this.#asked();
    const missing = wanted.filter((unit) => !this.column(unit));
    if (!missing.length) return;
    const [{ layer }] = missing;
    if (!figure.live) {
      if (layer !== open) for (const { ids, values } of layers[layer]?.parts ?? []) void [ids, values].map(load);
      return;
    }
    const ids = missing.filter((unit) => unit.layer === layer).map(({ id }) => id);
    return this.#await(figure.ask(view, 'columns', { layer, ids }), (arrays) => this.#add(layer, arrays));
  }

  #await(answer: ReturnType<Figure['ask']>, take: (arrays: NdArray[]) => void): () => void {
    const told = this.#tell();
    answer.then(
      (found) => {
        told();
        if (found) take(found.arrays);
      },
      (error: Error) => {
        told();
        if (!(error instanceof Superseded)) this.problem = error.message;
      },
    );
    return told;
  }

  #take(layer: number, arrays: NdArray[], question: string, start: number): void {
    this.#add(layer, arrays);
    this.#answer = { question, layer, ids: Array.from(arrays[0].data), start };
    this.problem = '';
  }

  #add(layer: number, [ids, values, gate, up]: NdArray[]): void {
    const next = new Map(this.#columns);
    ids.data.forEach((id, k) => next.set(`${layer} ${id}`, columnOf(k, values, gate, up)));
    for (const key of next.keys()) {
      if (next.size <= HELD) break;
      next.delete(key);
    }
    this.#columns = next;
  }

  /** Say so after a while; returns the function that takes it back. */
  #tell(): () => void {
    const timer = setTimeout(() => (this.late = true), LATE);
    return () => {
      clearTimeout(timer);
      this.late = false;
    };
  }
}

function columnOf(k: number, values: NdArray, gate?: NdArray, up?: NdArray): Column {
  const n = values.shape[1];
  const row = (array: NdArray | undefined) => array?.data.subarray(k * n, (k + 1) * n);
  return { values: row(values)!, gate: row(gate), up: row(up) };
}

function arrayOf(part: Part | undefined): NdArray | undefined {
  return part instanceof LazyArray ? part.value : part;
}

function isAbsent(part: Part): boolean {
  return part instanceof LazyArray && part.absent;
}

function load(part: Part): void {
  if (part instanceof LazyArray) void part.load();
}
