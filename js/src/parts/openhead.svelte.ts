/** The heads that are open in an attention view: their numbers as they come, and rows as the kernel has them. */
import { untrack } from 'svelte';
import { Superseded } from '../backend';
import { LazyArray, type Figure } from '../figure.svelte';
import { Dense } from '../pattern/dense';
import { Factored, type FactorsJson } from '../pattern/factored';
import { Remote, type RemoteJson } from '../pattern/remote';
import {
  outweighs,
  type Direction,
  type Line,
  type Pattern,
  type Pooling,
  type Reading,
  type Tile,
} from '../pattern/pattern';
import { lineOf } from '../pattern/several';
import type { NdArray } from '../wire';
import { cellsAgain } from './exactcells.svelte';
import { boundsOf, factorsOf } from './linebounds';
import { ReadHeads, type Transform } from './readheads.svelte';

/** Milliseconds after which the reader is told what is awaited. */
const [LOADING, LATE] = [250, 1500];

/** An array, here or fetched when the head is opened. */
type Part = NdArray | LazyArray;
/** What a head travels as: its weights, its queries and keys, or nothing: it is asked about. */
export type HeadValues = Part | FactorsJson<Part> | RemoteJson;

/** Which heads, and which of their rows or columns. */
export interface Asked {
  figure: Figure;
  /** Id of the view within the figure. */
  view: string;
  /** Indices of the heads among those of the view. */
  heads: number[];
  values: HeadValues[];
  /** What several are made into. */
  combine?: Reading['combine'];
  causal: boolean;
  signed: boolean;
  direction: Direction;
  /** One query or key, or several that are read as one. */
  subjects: number[];
  /** What else is done to them. */
  transform?: Transform;
}

/** Made while a component is set up: it fetches and asks as what `asked` reads changes. */
export class OpenHead {
  #problem = $state('');
  /** The numbers of the head are awaited, for so long that the reader should know. */
  loading = $state(false);
  #late = $state(false);
  /** A row or column from the kernel, what it answers, and the numbers that were shown when it was asked. */
  #answered = $state.raw<{ question: string; pattern: Pattern; line: Line }>();
  #asked: () => Asked;

  #values = $derived.by(() => this.#asked().values);
  #combine = $derived.by(() => this.#asked().combine);
  #parts = $derived(this.#values.flatMap(partsOf));
  // Each by itself: what is pointed at changes with the pointer, and the head must not be made again for that.
  #causal = $derived.by(() => this.#asked().causal);
  #signed = $derived.by(() => this.#asked().signed);
  #question = $derived.by(() => {
    const { heads, combine, direction, subjects } = this.#asked();
    return `${heads} ${combine} ${direction} ${subjects}`;
  });
  #which = $derived.by(() => `${this.#asked().direction} ${this.#asked().subjects}`);
  #line = $derived.by((): [Direction, number[]] => {
    const [direction, subjects] = this.#which.split(' ');
    return [direction as Direction, subjects.split(',').map(Number)];
  });
  // As a text, for the same reason.
  #numbers = $derived.by(() => this.#asked().heads.join());
  #heads = $derived.by(() => {
    const numbers = this.#numbers.split(',').map(Number);
    const here = this.#parts.every(arrayOf);
    return here ? this.#values.map((values, i) => this.#patternOf(values, numbers[i])) : undefined;
  });
  #transform = $derived.by(() => this.#asked().transform);
  #read = new ReadHeads(() => ({ heads: this.#heads, combine: this.#combine, transform: this.#transform }));
  /** Undefined until its numbers are here. */
  pattern = $derived(this.#read.pattern);
  /** Rows of which too little is left to be shared out. */
  gone = $derived(this.#read.shares?.gone);
  #remote = $derived(this.#read.inner instanceof Remote ? this.#read.inner : undefined);
  /** Only one row or column of a head as it is: the kernel is asked for it below, and for everything else as it is read. */
  #plain = $derived.by(() => !this.#transform && this.#line[1].length === 1);
  #kernels = $derived.by(() => {
    const [heads, { figure }] = [this.#heads, untrack(this.#asked)];
    if (this.#plain || !figure.live || !heads || heads.every(({ precision }) => precision === 'exact'))
      return undefined;
    const numbers = this.#numbers.split(',').map(Number);
    return heads.map(({ queries, keys }, i) => this.#kernelOf({ remote: [queries, keys] }, numbers[i]));
  });
  /** Cells as the kernel has them; undefined without one, or where they are exact already, or do not come. */
  async exactCells(like: Tile, pooling: Pooling): Promise<Tile | undefined> {
    const [heads, { figure, combine, transform }] = [this.#heads, this.#asked()];
    if (!figure.live || !heads || heads.every(({ precision }) => precision === 'exact')) return undefined;
    const numbers = this.#numbers.split(',').map(Number);
    const kernels = heads.map(({ queries, keys }, i) => this.#kernelOf({ remote: [queries, keys] }, numbers[i]));
    return cellsAgain(() => ({ heads: kernels, combine, transform }), like, pooling);
  }
  #exactly = new ReadHeads(() => ({ heads: this.#kernels, combine: this.#combine, transform: this.#transform }));
  /** Each head by itself, read as all are, where there are several; undefined until all are here. */
  heads = $derived(this.#read.each);
  #factors = $derived(factorsOf(this.#transform));
  #bound = $derived.by(() => {
    const [heads, combine, transform, shares] = [this.#heads, this.#combine, this.#transform, this.#read.shares];
    const [direction, subjects] = this.#line;
    return heads && boundsOf({ heads, combine, transform, shares, direction, subjects }, this.#factors);
  });
  /** What went wrong with the last fetch or question. */
  problem = $derived(this.#problem || this.#remote?.problem || '');
  /** The kernel's own numbers are awaited, for so long that the reader should know. */
  late = $derived(this.#late || !!this.#remote?.late);
  /** This copy does not hold the head. */
  absent = $derived(this.#values.some(isAbsent));
  #carried = $derived.by(() => {
    return this.pattern && lineOf(this.pattern, ...this.#line);
  });
  /** What the kernel has said about this row or column of these numbers: after an update it has said nothing yet. */
  #answer = $derived.by((): Line | undefined => {
    if (!this.#plain) {
      return this.#exactly.pattern && lineOf(this.#exactly.pattern, ...this.#line);
    }
    return this.#answered?.question === this.#question && this.#answered.pattern === this.pattern
      ? this.#answered.line
      : undefined;
  });
  /** The row or column: as the kernel has it once that has answered, before as it travelled. */
  line = $derived(this.#answer ?? this.#carried);
  exact = $derived(this.pattern?.precision === 'exact' || this.#answer !== undefined);

  constructor(asked: () => Asked) {
    this.#asked = asked;
    $effect(() => this.#fetch());
    $effect(() => this.#ask());
  }

  /** How far a number of the line may be from the model's; `at` is the other end of its cell. */
  errorOf(value: number, at?: number): number {
    return this.exact ? 0 : this.carriedError(value, at);
  }

  /** The same, as it travelled. */
  carriedError(value: number, at?: number): number {
    return this.pattern && this.#bound ? this.#bound(value, at) : 0;
  }

  #patternOf(values: HeadValues, number: number): Pattern {
    if (isRemote(values)) return this.#kernelOf(values, number);
    if (!isFactors(values)) return new Dense(arrayOf(values)!, this.#causal, this.#signed);
    const { queries, keys, normaliser, sink, mask } = values;
    const [q, k, n] = [queries, keys, normaliser].map((part) => arrayOf(part)!);
    const [s, m] = [sink, mask].map((part) => (part && arrayOf(part)) ?? null);
    return Factored.of({ ...values, queries: q, keys: k, normaliser: n, sink: s, mask: m }, this.#causal);
  }

  #kernelOf(json: RemoteJson, number: number): Remote {
    const { figure, view } = untrack(this.#asked);
    return new Remote((name, args, how) => figure.ask(view, name, args, how), json, this.#causal, [number]);
  }

  #fetch(): (() => void) | undefined {
    const awaited = this.#parts.filter((part) => part instanceof LazyArray && !part.value && !part.absent);
    this.#problem = '';
    if (!awaited.length) return;
    const told = this.#tell((on) => (this.loading = on), LOADING);
    Promise.all(awaited.map((part) => (part as LazyArray).load())).then(told, (error: Error) => {
      told();
      this.#problem = error.message;
    });
    return told;
  }

  /** Fetch again what could not be fetched, or ask again what was not answered. */
  retry(): void {
    this.#remote?.retry();
    this.#fetch();
    this.#ask();
  }

  /** Say so after a while; returns the function that takes it back. */
  #tell(say: (on: boolean) => void, after: number): () => void {
    const timer = setTimeout(() => say(true), after);
    return () => {
      clearTimeout(timer);
      say(false);
    };
  }

  #ask(): (() => void) | undefined {
    // Along a row the question stays the same, and is asked once.
    const [question, pattern] = [this.#question, this.pattern];
    const { figure, view, heads, combine } = untrack(this.#asked);
    const [carried, [direction, subjects]] = untrack(() => [this.#carried, this.#line]);
    if (!this.#plain || !figure.live || !pattern || pattern.precision === 'exact' || !carried) return;
    const told = this.#tell((on) => (this.#late = on), LATE);
    const which = heads.length > 1 ? { heads, combine } : { head: heads[0] };
    figure.ask(view, 'value', { ...which, [direction === 'by' ? 'key' : 'query']: subjects[0] }).then(
      (answer) => {
        told();
        const whole = answer?.arrays[0]?.data;
        if (!whole) return;
        const values = whole.subarray(carried.start, carried.start + carried.values.length);
        this.#answered = { question, pattern, line: { start: carried.start, values } };
        this.#problem = '';
      },
      (error) => {
        told();
        if (!(error instanceof Superseded)) this.#problem = error.message;
      },
    );
    return told;
  }
}

export function isRemote(values: HeadValues): values is RemoteJson {
  return 'remote' in values;
}

export function isFactors(values: HeadValues): values is FactorsJson<Part> {
  return 'queries' in values;
}

/** The arrays that a head is made of. */
function partsOf(values: HeadValues): Part[] {
  if (isRemote(values)) return [];
  if (!isFactors(values)) return [values];
  const { queries, keys, normaliser, sink, mask } = values;
  return [queries, keys, normaliser, sink, mask].filter((part) => part !== null);
}

function arrayOf(part: Part): NdArray | undefined {
  return part instanceof LazyArray ? part.value : part;
}

/** Whether this copy of a figure leaves the head out. */
export function isAbsent(values: HeadValues): boolean {
  return partsOf(values).some((part) => part instanceof LazyArray && part.absent);
}

/** Position of a line's largest weight (signed: furthest from zero); undefined where none is a number. */
export function largestOf(line: Line, signed: boolean): number | undefined {
  let best: number | undefined;
  for (let i = 0; i < line.values.length; i++) {
    const here = line.values[i];
    if (Number.isNaN(here)) continue;
    if (best === undefined || outweighs(here, line.values[best], signed)) best = i;
  }
  return best === undefined ? undefined : line.start + best;
}
