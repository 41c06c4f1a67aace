/** How a reader has an attention pattern read: weighed, without some tokens, merged, up to which end of the scale. */
import { untrack } from 'svelte';
import type { Figure, Hover } from '../figure.svelte';
import { MOST_UNITS } from '../pattern/merged';
import type { Pattern, Pooling } from '../pattern/pattern';
import { beyond, type Curve, type Scale } from '../scale';
import type { Selection } from '../selection';
import type { TokensJson } from '../views/types';
import { say } from '../words';
import { KeyWeights, type WeighJson } from './keyweights.svelte';
import { KINDS, kindsOf, outOf, type Kind } from './leftout';
import { markedUnits, positionsOf, spansOf, wordsOf, type SpansJson, type Units } from './mergedtokens';
import type { Transform } from './readheads.svelte';
import type { Total } from './rowreadout';

export const LEFT = ['shown', 'dimmed', 'hidden'] as const;
export const UNITS = ['tokens', 'words', 'spans'] as const;

/** What there is to read. */
export interface Read {
  figure: Figure;
  view: string;
  /** Number of the sheet among those of the view. */
  sheet: number;
  queries: TokensJson;
  keys: TokensJson;
  /** The last key is the sink. */
  sink: boolean;
  causal: boolean;
  probabilities: boolean;
  /** What rows are known to sum to. */
  total: number | undefined;
  spans: SpansJson | null;
  keySpans: SpansJson | null;
  weigh: WeighJson[];
  /** Heads that are open, among those of the sheet. */
  heads: number[];
  scale: Pick<Scale, 'ramp' | 'limits'>;
}

/** What mechviz/views/_attention_opening.py sends: how a view is read until the reader has it otherwise. */
export interface OpeningJson {
  /** Name of what weights are multiplied with; "" for nothing. */
  weigh_by: string;
  left: (typeof LEFT)[number];
  kinds: Kind[];
  merge: (typeof UNITS)[number];
  pooling: Pooling;
  curve: Curve | 'row' | 'head' | null;
  /** The end of the scale. */
  scale_to: number | null;
}

/** Made while a component is set up. */
export class AttentionReading {
  /** Name of what weights are multiplied with; "" for nothing. */
  by = $state('');
  left = $state<(typeof LEFT)[number]>('shown');
  kinds = $state<Record<Kind, boolean>>({ first: true, special: true, padding: true, sink: true });
  unit = $state<(typeof UNITS)[number]>('tokens');
  /** The end of the scale, where the reader has set it. */
  end = $state<number>();

  #read: () => Read;
  #part<T>(pick: (read: Read) => T): () => T {
    return () => pick(this.#read());
  }
  // Each by itself: other heads are opened more often than other texts.
  readonly #queries = $derived.by(this.#part(({ queries }) => queries));
  readonly #keys = $derived.by(this.#part(({ keys }) => keys));
  readonly #sink = $derived.by(this.#part(({ sink }) => sink));
  readonly #weigh = $derived.by(this.#part(({ weigh }) => weigh));
  readonly #heads = $derived.by(this.#part(({ heads }) => heads.join()));
  readonly #probabilities = $derived.by(this.#part(({ probabilities }) => probabilities));
  readonly #total = $derived.by(this.#part(({ total }) => total));
  readonly #spans = $derived.by(this.#part(({ spans, keySpans }) => spans ?? keySpans));

  // --- what is left out
  found = $derived.by(() => {
    const keys = kindsOf(this.#keys, this.#sink);
    return { keys, any: KINDS.filter((kind) => keys[kind].length) };
  });
  /** 1 for keys that are left out. */
  #out = $derived(this.left === 'shown' ? undefined : outOf(this.found.keys, this.kinds, this.#keys.label.length));
  hides = $derived(this.left === 'hidden' && this.#out !== undefined);
  renormalised = $derived(this.hides && this.#probabilities);
  /** Padding is left out where it reads, too. */
  #without = $derived.by(() => {
    if (!this.renormalised || !this.kinds.padding) return undefined;
    const padding = Uint8Array.from(this.#queries.role, (role) => Number(role === 'PAD'));
    return padding.includes(1) ? padding : undefined;
  });

  // --- what weights are multiplied with
  names = $derived(this.#weigh.map(({ name }) => name));
  #json = $derived(this.#weigh.find(({ name }) => name === this.by));
  #numbers = new KeyWeights(() => {
    const { figure, view, sheet } = this.#read();
    return { figure, view, sheet, which: this.#json ? this.#weigh.indexOf(this.#json) : 0, json: this.#json };
  });
  /** Why weights are not multiplied with what was asked for. */
  reason = $derived.by(() => {
    if (this.by && !this.#json) return say('reading.other', { name: this.by });
    const missing = this.#numbers.numbers?.missing ?? {};
    return (
      this.#numbers.reason ??
      this.#heads
        .split(',')
        .map((head) => missing[head])
        .find(Boolean)
    );
  });
  awaited = $derived(this.#numbers.awaited);
  #factors = $derived.by((): Float32Array[] | undefined => {
    const found = this.reason ? undefined : this.#numbers.numbers;
    if (!found) return undefined;
    const count = found.values.shape[1];
    return this.#heads
      .split(',')
      .map((head) => Float32Array.from(found.values.data.subarray(Number(head) * count, (Number(head) + 1) * count)));
  });
  weighed = $derived(this.#factors !== undefined);
  signed = $derived.by(() => this.#read().scale.ramp === 'signed' || (this.weighed && !!this.#numbers.numbers?.signed));

  // --- words and spans
  #units = $derived.by((): { rows: Units; cols: Units } | undefined => {
    if (this.unit === 'tokens') return undefined;
    const [queries, keys] = [this.#queries, this.#keys];
    const { spans, keySpans } = untrack(this.#read);
    const of = (tokens: TokensJson, given: SpansJson | null) =>
      this.unit === 'words' || !given ? wordsOf(tokens) : spansOf(tokens, given);
    void this.#spans;
    const rows = of(queries, spans);
    return { rows, cols: queries === keys ? rows : of(keys, keySpans) };
  });
  /** Why they are not merged. */
  tooMany = $derived.by(() => {
    const most = Math.max(this.#units?.rows.tokens.label.length ?? 0, this.#units?.cols.tokens.label.length ?? 0);
    return most > MOST_UNITS
      ? say('reading.many', { n: most, what: say(`tokens.${this.unit as 'words'}`), most: MOST_UNITS })
      : '';
  });
  units = $derived(this.tooMany ? undefined : this.#units);
  ways = $derived(UNITS.filter((unit) => unit !== 'spans' || this.#spans));
  /** The tokens, words or spans that are shown. */
  queries = $derived(this.units?.rows.tokens ?? this.#queries);
  keys = $derived(this.units?.cols.tokens ?? this.#keys);

  /** What is done to the heads. */
  transform = $derived.by((): Transform | undefined => {
    const [factors, units, out] = [this.#factors, this.units, this.hides ? this.#out : undefined];
    if (!factors && !units && !out) return undefined;
    const edges = units && { rows: units.rows.edges, cols: units.cols.edges };
    return {
      factors,
      out,
      share: this.renormalised,
      total: this.#total,
      without: this.#without,
      units: edges,
    };
  });
  /** Keys that are drawn as left out, as they are shown. */
  out = $derived(this.#out && this.units ? markedUnits(this.#out, this.units.cols) : this.#out);

  constructor(read: () => Read) {
    this.#read = read;
  }

  /** Rows that were taken out, as they are shown. */
  rowsOut(gone: Uint8Array | undefined): Uint8Array | undefined {
    return gone && this.units ? markedUnits(gone, this.units.rows) : gone;
  }

  /** Rows that are not padding and have too little left. */
  removed(gone: Uint8Array | undefined): number {
    let n = 0;
    gone?.forEach((is, i) => (n += is && !this.#without?.[i] ? 1 : 0));
    return n;
  }

  // --- in tokens, and in what is shown
  /** What is pointed at or picked, in what is shown. */
  inUnits<T extends Hover | Selection>(what: T, by: boolean): T {
    const { units } = this;
    if (!units) return what;
    const map = (of: Int32Array, at: number | number[] | undefined) =>
      Array.isArray(at) ? [...new Set(at.map((i) => of[i] ?? -1))] : at === undefined ? undefined : (of[at] ?? -1);
    const { queries, keys, positions, query, key, position } = what as Partial<Selection> & Hover;
    const [rows, cols] = [units.rows.of, units.cols.of];
    const own = by ? cols : rows;
    if (positions)
      return { ...what, queries: map(rows, queries), keys: map(cols, keys), positions: map(own, positions) };
    return { ...what, query: map(rows, query), key: map(cols, key), position: map(own, position) };
  }

  /** The unit of a query. */
  unitAt(query: number | undefined): number | undefined {
    return this.units && query !== undefined ? this.units.rows.of[query] : query;
  }

  /** All tokens of what is shown at a place. */
  tokensAt(axis: 'query' | 'key', at: number): number[] {
    return this.units ? positionsOf(axis === 'query' ? this.units.rows : this.units.cols, at) : [at];
  }

  // --- what is done next
  /** As the author has it; of what was opened before, only what is another now: the rest is the reader's. */
  open(now: OpeningJson | undefined, before?: OpeningJson): void {
    if (!now) return;
    if (now.weigh_by !== before?.weigh_by) this.weighBy(now.weigh_by);
    if (now.left !== before?.left || now.kinds.join() !== before.kinds.join()) {
      this.left = now.left;
      for (const kind of KINDS) this.kinds[kind] = now.kinds.includes(kind);
    }
    if (now.merge !== before?.merge) this.unit = now.merge;
    if (now.scale_to !== before?.scale_to || now.weigh_by !== before.weigh_by) this.end = now.scale_to ?? undefined;
  }

  weighNext(): void {
    const all = ['', ...this.names];
    this.weighBy(all[(all.indexOf(this.by) + 1) % all.length]);
  }

  weighBy(name: string): void {
    this.by = name;
    this.end = undefined; // it was one of other numbers
  }

  leaveNext(): void {
    this.left = LEFT[(LEFT.indexOf(this.left) + 1) % LEFT.length];
  }

  mergeNext(): void {
    this.unit = this.ways[(this.ways.indexOf(this.unit) + 1) % this.ways.length];
  }

  actions(): Record<string, () => void> {
    return { e: () => this.weighNext(), x: () => this.leaveNext(), w: () => this.mergeNext() };
  }

  // --- in words
  keysSaid(): [key: string, what: string][] {
    const all: [string, string][] = [['w', say('reading.key.unit')]];
    if (this.found.any.length) all.push(['x', say('reading.key.left')]);
    if (this.names.length) all.push(['e', say('reading.key.weigh', { names: this.names.join(', ') })]);
    return all;
  }

  /** How tokens are merged. */
  mergedSaid(): string {
    return say('reading.mass', { what: say(`tokens.${this.unit as 'words'}`) });
  }

  /** What a row of what is shown sums to, where that is known. */
  totalOf(total: Total | null): Total | undefined {
    if (this.weighed || (this.hides && !this.renormalised)) return undefined;
    return this.renormalised ? { value: 1, error: 1e-6 } : (total ?? undefined);
  }

  /** "attention probability × ‖v‖, renormalised" */
  said(quantity: string): string {
    const weighed = this.times(quantity);
    return this.renormalised ? say('reading.renormalised', { quantity: weighed }) : weighed;
  }

  /** "weight × ‖v‖", or as it is. */
  times(quantity: string): string {
    return this.weighed ? say('reading.times', { quantity, what: this.#json!.symbol }) : quantity;
  }

  /** What is left out, and how: "hidden: first token, 2 special tokens". */
  leftSaid(): string {
    const kinds = this.found.any.filter((kind) => this.kinds[kind]);
    if (this.left === 'shown' || !kinds.length) return '';
    const what = kinds.map((kind) => say(`reading.${kind}`, { n: this.found.keys[kind].length })).join(', ');
    return say(this.left === 'dimmed' ? 'reading.dimmed' : this.renormalised ? 'reading.hidden' : 'reading.without', {
      what,
    });
  }

  /** The scale of what is shown: its end is measured where weights were multiplied, or set by the reader. */
  scaleOf(measured: number): Pick<Scale, 'ramp' | 'limits'> {
    const { scale } = this.#read();
    const ramp = this.signed ? 'signed' : this.weighed ? 'ink' : scale.ramp;
    const end = this.end ?? (this.weighed ? measured || 1 : undefined);
    if (end === undefined) return scale;
    return { ramp, limits: [ramp === 'signed' ? -end : Math.min(0, scale.limits[0]), end] };
  }
}

/** The largest size of what is drawn, as far as it is here. */
export function measured(pattern: Pattern | undefined, step: number, rule: Pooling): number {
  const tile = pattern?.tile(step, undefined, undefined, rule);
  if (!tile) return 0;
  let most = 0;
  const count = (tile.done ?? tile.rows) * tile.cols;
  for (let i = 0; i < count; i++) {
    const size = Math.abs(tile.values[i]);
    if (size > most && size < Infinity) most = size;
  }
  return most;
}

/** How many cells that are drawn lie beyond a scale, as far as they are here. */
export function beyondCount(pattern: Pattern | undefined, step: number, rule: Pooling, scale: Scale): number {
  const tile = pattern?.tile(step, undefined, undefined, rule);
  if (!tile) return 0;
  let n = 0;
  const count = (tile.done ?? tile.rows) * tile.cols;
  for (let i = 0; i < count; i++) n += beyond(scale, tile.values[i]) ? 1 : 0;
  return n;
}
