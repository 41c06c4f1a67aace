/** How the weights that are drawn large become colours, and what the end of their scale stands for. */
import type { Figure } from '../figure.svelte';
import type { Line } from '../pattern/pattern';
import { beyondCount, measured, type AttentionReading } from './attentionreading.svelte';
import { scaleOf } from './attentionscale';
import type { AttentionSettings } from './attentionsettings.svelte';
import type { AttentionProps } from './attentionsheets';
import { paletteOf, rowMaxima, scaled, type Look } from './cells';
import type { Focus } from './heatmap';
import type { OpenHead } from './openhead.svelte';
import type { Mask } from './seen';
import { fillsFor, type TokenFill } from './tokentext';

export interface Coloured {
  figure: Figure;
  data: AttentionProps;
  /** Heads that are open. */
  selected: number[];
  /** The largest weight of each head, where it is known. */
  peaks: ArrayLike<number> | undefined;
  /** Weights to a cell of the map. */
  step: number;
  mask: Mask;
  /** 1 for rows that were taken out. */
  gone: Uint8Array | undefined;
}

/** A token of which nothing is read. */
const LEFT: TokenFill = { background: 'transparent', color: 'var(--mv-fg3)', mark: 'out' };

export class AttentionColours {
  #given: () => Coloured;
  #settings: AttentionSettings;
  #reading: AttentionReading;
  #shown: OpenHead;
  // Each by itself: the largest weights of all rows take long to find, and thumbnails long to paint.
  #data = $derived.by(() => this.#given().data);
  #selected = $derived.by(() => this.#given().selected);
  #peaks = $derived.by(() => this.#given().peaks);
  #step = $derived.by(() => this.#given().step);
  #mask = $derived.by(() => this.#given().mask);
  #gone = $derived.by(() => this.#given().gone);
  #figure = $derived.by(() => this.#given().figure);

  /** The largest that is drawn, where the scale is made for that. */
  #most = $derived.by(() => {
    const { mode, pooling } = this.#settings;
    const made = this.#reading.weighed || (mode === 'head' && this.#reading.transform);
    return made ? measured(this.#shown.pattern, this.#step, pooling) : 0;
  });
  /** The scale goes to an end that is measured, or set by the reader. */
  #own = $derived.by(() => this.#reading.weighed || this.#reading.end !== undefined);
  #times = $derived.by(() => (this.#settings.combine === 'sum' && !this.#own ? this.#selected.length : 1));
  /** What the end of the scale stands for, where that is not the end of the view's. */
  full = $derived.by(() => {
    if (this.#own) return undefined;
    const [{ mode, combine }, peaks, times] = [this.#settings, this.#peaks, this.#times];
    if (mode === 'head' && this.#reading.transform) return this.#most;
    if (mode === 'head' && peaks) {
      const of = this.#selected.map((index) => peaks[index]);
      return combine === 'max' ? Math.max(...of) : (of.reduce((a, b) => a + b) * times) / of.length;
    }
    return times > 1 ? times * this.#data.scale.limits[1] : undefined;
  });
  ends = $derived.by(() => this.#reading.scaleOf(this.#most));
  scale = $derived.by(() => {
    const { mode } = this.#settings;
    // What travelled may be a rounding above the maximum.
    const rounding = mode === 'head' && this.full !== undefined ? this.#shown.carriedError(this.full) : 0;
    return scaleOf(this.ends, mode, this.full === undefined ? undefined : this.full + rounding);
  });
  /** The largest size that a weight can have. */
  limit = $derived(Math.max(...this.ends.limits.map(Math.abs)) * this.#times);
  /** How many cells lie beyond the end that the reader has set. */
  beyond = $derived.by(() => {
    const { mode, pooling } = this.#settings;
    if (this.#reading.end === undefined || mode === 'row') return 0;
    return beyondCount(this.#shown.pattern, this.#step, pooling, this.scale);
  });

  palette = $derived.by(() => {
    void this.#figure.theme; // the colours of the tokens change with it
    return paletteOf(this.#figure.host, this.ends.ramp);
  });
  look = $derived.by((): Look => {
    const { out, hides } = this.#reading;
    const { causal, probabilities: padding } = this.#data;
    return {
      ...{ perRow: this.#settings.mode === 'row', causal, padding, palette: this.palette, scale: this.scale },
      slack: this.#shown.pattern?.precision === 'float16' ? 2 ** -11 : undefined,
      ...{ ...this.#mask, out, hides, gone: this.#gone },
    };
  });
  /** The largest weight of each query, where rows have their own scale. */
  maxima = $derived.by(() => {
    const { pattern } = this.#shown;
    if (this.#settings.mode !== 'row' || !pattern) return undefined;
    const whole = pattern.maxima ? undefined : pattern.tile(1);
    return whole ? rowMaxima(whole, this.#data.causal) : pattern.maxima?.();
  });

  constructor(given: () => Coloured, settings: AttentionSettings, reading: AttentionReading, shown: OpenHead) {
    this.#given = given;
    this.#settings = settings;
    this.#reading = reading;
    this.#shown = shown;
  }

  /** A weight of a query as the scale sees it. */
  scaled(value: number, query: number): number {
    return scaled(value, this.#settings.mode === 'row', this.maxima?.[query] ?? 0);
  }

  /** The `count` tokens at the other end of a row or column, coloured by it, but for those that are left out. */
  fills(line: Line | undefined, { direction, subject }: Focus, count: number, without?: Uint8Array): TokenFill[] {
    const all = Array.from({ length: count }, () => LEFT);
    if (!line) return all;
    const values = Array.from(line.values, (v, i) => this.scaled(v, direction === 'by' ? line.start + i : subject));
    fillsFor(values, this.scale, this.palette.lut, this.palette.foreground).forEach((fill, i) => {
      if (!without?.[line.start + i]) all[line.start + i] = fill;
    });
    return all;
  }
}
