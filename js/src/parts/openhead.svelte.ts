/** The head that is open in an attention view: its numbers as they come, and rows as the kernel has them. */
import { untrack } from 'svelte';
import { Superseded } from '../backend';
import { LazyArray, type Figure } from '../figure.svelte';
import { Dense } from '../pattern/dense';
import { outweighs, type Direction, type Line } from '../pattern/pattern';
import { errorOf, type NdArray } from '../wire';

/** Milliseconds after which the reader is told what is awaited. */
const [LOADING, LATE] = [250, 1500];

/** Which head, and which of its rows or columns. */
export interface Asked {
  figure: Figure;
  /** Id of the view within the figure. */
  view: string;
  /** Index of the head among those of the view. */
  head: number;
  values: NdArray | LazyArray;
  causal: boolean;
  signed: boolean;
  direction: Direction;
  subject: number;
}

/** Made while a component is set up: it fetches and asks as what `asked` reads changes. */
export class OpenHead {
  /** What went wrong with the last fetch or question. */
  problem = $state('');
  /** The numbers of the head are awaited, for so long that the reader should know. */
  loading = $state(false);
  /** The kernel's own numbers are awaited, likewise. */
  late = $state(false);
  /** A row or column from the kernel, what it answers, and the numbers that were shown when it was asked. */
  #answered = $state.raw<{ question: string; array: NdArray; line: Line }>();
  #asked: () => Asked;

  #values = $derived.by(() => this.#asked().values);
  #array = $derived(this.#values instanceof LazyArray ? this.#values.value : this.#values);
  #question = $derived.by(() => {
    const { head, direction, subject } = this.#asked();
    return `${head} ${direction} ${subject}`;
  });
  /** Undefined until its numbers are here. */
  pattern = $derived.by(() => {
    const { causal, signed } = this.#asked();
    return this.#array && new Dense(this.#array, causal, signed);
  });
  /** This copy does not hold the head. */
  absent = $derived(this.#values instanceof LazyArray && this.#values.absent);
  #carried = $derived.by(() => {
    const { direction, subject } = this.#asked();
    return this.pattern?.line(direction, subject);
  });
  /** What the kernel has said about this row or column of these numbers: after an update it has said nothing yet. */
  #answer = $derived(
    this.#answered?.question === this.#question && this.#answered.array === this.#array
      ? this.#answered.line
      : undefined,
  );
  /** The row or column: as the kernel has it once that has answered, before as it travelled. */
  line = $derived(this.#answer ?? this.#carried);
  exact = $derived(this.pattern?.precision === 'exact' || this.#answer !== undefined);

  constructor(asked: () => Asked) {
    this.#asked = asked;
    $effect(() => this.#fetch());
    $effect(() => this.#ask());
  }

  /** How far a number of the line may be from the model's. */
  errorOf(value: number): number {
    return this.exact || !this.pattern ? 0 : errorOf(value, this.pattern.precision);
  }

  #fetch(): (() => void) | undefined {
    const values = this.#values;
    this.problem = '';
    if (!(values instanceof LazyArray) || values.value || values.absent) return;
    const told = this.#tell((on) => (this.loading = on), LOADING);
    values.load().then(told, (error: Error) => {
      told();
      this.problem = error.message;
    });
    return told;
  }

  /** Fetch again what could not be fetched, or ask again what was not answered. */
  retry(): void {
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
    const [question, array] = [this.#question, this.#array];
    const { figure, view, head, direction, subject } = untrack(this.#asked);
    const carried = untrack(() => this.#carried);
    if (!figure.live || !array || array.precision === 'exact' || !carried) return;
    const told = this.#tell((on) => (this.late = on), LATE);
    figure.ask(view, 'value', { head, [direction === 'by' ? 'key' : 'query']: subject }).then(
      (answer) => {
        told();
        const whole = answer?.arrays[0]?.data;
        if (!whole) return;
        const values = whole.subarray(carried.start, carried.start + carried.values.length);
        this.#answered = { question, array, line: { start: carried.start, values } };
        this.problem = '';
      },
      (error) => {
        told();
        if (!(error instanceof Superseded)) this.problem = error.message;
      },
    );
    return told;
  }
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
