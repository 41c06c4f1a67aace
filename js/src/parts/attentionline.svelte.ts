/** The row or column that is read in an attention view, without what masks leave out and the reader hides. */
import { say } from '../words';
import type { AttentionPointing } from './attentionpointing.svelte';
import type { AttentionReading } from './attentionreading.svelte';
import type { AttentionProps } from './attentionsheets';
import type { Focus } from './heatmap';
import { largestOf, type OpenHead } from './openhead.svelte';
import { behind, seenOf, type Mask } from './seen';

export interface Lined {
  data: AttentionProps;
  /** Heads that are open. */
  selected: number[];
}

export class AttentionLine {
  #given: () => Lined;
  #reading: AttentionReading;
  #pointing: AttentionPointing;
  #shown: OpenHead;

  /** 1 for rows of which too little is left. */
  gone = $derived.by(() => this.#reading.rowsOut(this.#shown.gone));
  /** Why there is nothing to read of what is asked about: a key that is hidden, a row of which too little is left. */
  takenOut = $derived.by(() => {
    const { hides, out } = this.#reading;
    const { by, pointed, asked } = this.#pointing;
    if (!by) return this.gone?.[pointed.subject] ? say('reading.gone') : undefined;
    return hides && asked.every((key) => out?.[key]) ? say('reading.out') : undefined;
  });
  /** Of heads that are causal but for their sink: the sink. */
  sink = $derived.by(() => {
    const { data } = this.#given();
    return data.sink_masked ? data.key_tokens!.label.length - 1 : undefined;
  });
  /** Of units that are merged no cell is masked; of several heads only what all of them leave out. */
  mask = $derived.by((): Mask => {
    if (this.#reading.units) return {};
    const { data, selected } = this.#given();
    const windows = selected.map((index) => data.heads[index].window ?? Infinity);
    const window = Math.max(...windows);
    return { window: window === Infinity ? undefined : window, sink: this.sink };
  });
  /** Undefined until it is here, and where there is nothing to read. */
  line = $derived.by(() => {
    if (!this.#shown.line || this.takenOut) return undefined;
    return seenOf(this.#shown.line, this.#pointing.direction, this.#pointing.asked, this.mask);
  });
  /** 1 for what is not to be seen in it. */
  unseen = $derived.by(() => {
    if (this.#pointing.by) return this.gone;
    const hidden = this.#reading.hides ? this.#reading.out : undefined;
    const { sink } = this.mask;
    return sink === undefined ? hidden : behind(this.#pointing.asked, sink, hidden);
  });
  /** Where no cell is pointed at, the largest weight of the row is. */
  focus = $derived.by((): Focus => {
    const { pointed } = this.#pointing;
    return { ...pointed, partner: pointed.partner ?? (this.line && largestOf(this.line, this.#reading.signed)) };
  });

  constructor(given: () => Lined, reading: AttentionReading, pointing: AttentionPointing, shown: OpenHead) {
    this.#given = given;
    this.#reading = reading;
    this.#pointing = pointing;
    this.#shown = shown;
  }

  /** The weight at the other end of it. */
  at(other: number | undefined): number | undefined {
    return this.line && other !== undefined ? this.line.values[other - this.line.start] : undefined;
  }
}
