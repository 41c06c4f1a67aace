/** What is pointed at and picked in an attention view: a cell, a row or a column, or several that are read as one. */
import type { Figure } from '../figure.svelte';
import type { Cell, Direction } from '../pattern/pattern';
import { say } from '../words';
import { pointedAt } from './attentionpointed';
import type { AttentionReading } from './attentionreading.svelte';
import type { Head } from './headgrid';
import { between, pickedOf, toggled } from './pickedtokens';

export interface Pointable {
  figure: Figure;
  /** The head that is open; of several the last. */
  head: Head;
  /** Of what is shown, be it tokens or what they are merged to; `first` is asked about at first. */
  sizes: { queries: number; keys: number; causal: boolean; first?: number };
}

export class AttentionPointing {
  /** Queries are asked what they read from, or keys what they are read by. */
  direction = $state<Direction>('from');
  by = $derived(this.direction === 'by');
  #given: () => Pointable;
  #reading: AttentionReading;

  selection = $derived.by(() => this.#reading.inUnits(this.#given().figure.selection, this.by));
  pointed = $derived.by(() => {
    const { figure, sizes } = this.#given();
    return pointedAt(this.direction, this.#reading.inUnits(figure.hover, this.by), this.selection, sizes);
  });
  hovering = $derived.by(() => {
    const { query, key, position } = this.#given().figure.hover;
    return query !== undefined || key !== undefined || position !== undefined;
  });
  /** What is picked of what is asked about. */
  #picked = $derived.by(() => pickedOf(this.direction, this.selection, this.#count));
  /** Several tokens that are read as one, while no other is pointed at. */
  together = $derived.by(() => {
    const { query, key } = this.#given().figure.hover;
    const among = query === undefined && key === undefined && this.#picked.includes(this.pointed.subject);
    return this.#picked.length > 1 && (!this.hovering || among) ? this.#picked : undefined;
  });
  /** What is read, and what that is called where it is several. */
  asked = $derived(this.together ?? [this.pointed.subject]);
  called = $derived(this.together && say(this.by ? 'reading.sumOf' : 'reading.meanOf', { n: this.together.length }));
  /** Those that are read with the one that is pointed at. */
  also = $derived(this.together?.filter((i) => i !== this.pointed.subject));

  pinned = $derived.by((): Cell | undefined => {
    const { queries, keys, causal } = this.#given().sizes;
    const [query, key] = [this.selection.queries[0], this.selection.keys[0]];
    return query < queries && key < keys && !(causal && key > query) ? { query, key } : undefined;
  });
  /** What is picked of the open head: a cell, a row or a column. */
  picked = $derived.by((): Partial<Cell> | undefined => {
    if (this.pinned) return this.pinned;
    const { sizes } = this.#given();
    const { queries, keys, positions } = this.selection;
    const query = queries[0] ?? (this.by ? undefined : positions[0]);
    const key = keys[0] ?? (this.by ? positions[0] : undefined);
    if (query === undefined && key === undefined) return undefined;
    return (query ?? 0) < sizes.queries && (key ?? 0) < sizes.keys ? { query, key } : undefined;
  });

  constructor(given: () => Pointable, reading: AttentionReading) {
    this.#given = given;
    this.#reading = reading;
  }

  /** Tokens of which one is asked about. */
  get #count(): number {
    const { queries, keys } = this.#given().sizes;
    return this.by ? keys : queries;
  }

  /** The tokens at a place of what is asked about. */
  #tokensAt(at: number): number[] {
    return this.#reading.tokensAt(this.by ? 'key' : 'query', at);
  }

  hover = (cell: Partial<Cell> | undefined): void => {
    const { figure, head } = this.#given();
    const now = figure.hover;
    if (!cell) return void (this.hovering && (figure.hover = {}));
    const first = (axis: 'query' | 'key') =>
      cell[axis] === undefined ? undefined : this.#reading.tokensAt(axis, cell[axis])[0];
    const [query, key] = [first('query'), first('key')];
    const position = this.by ? key : query;
    if (query === now.query && key === now.key && position === now.position) return;
    figure.hover = { query, key, position, layer: head.layer, head: head.head };
  };

  /** A cell, or what stands at a place of what is asked about. */
  point = (what: Partial<Cell> | { position: number } | undefined): void => {
    if (!what || !('position' in what)) return this.hover(what);
    this.#given().figure.hover = { position: this.#tokensAt(what.position)[0] };
  };

  pick = (cell: Partial<Cell>): void => {
    const { queries, keys } = this.selection;
    // The same cell, or the same token, once more: let go.
    if (cell.query === queries[0] && cell.key === keys[0] && !this.together) return this.letGo();
    this.#pickAll(cell.query === undefined ? [] : [cell.query], cell.key === undefined ? [] : [cell.key]);
  };

  #pickAll(rows: number[], cols: number[]): void {
    const { figure, head } = this.#given();
    const queries = rows.flatMap((at) => this.#reading.tokensAt('query', at));
    const keys = cols.flatMap((at) => this.#reading.tokensAt('key', at));
    const several = rows.length > 1 || cols.length > 1;
    // Tokens that are read together say nothing about which heads are.
    const heads = several ? {} : { layers: [head.layer], heads: [head.head] };
    figure.pick({ ...heads, queries, keys, positions: this.by ? keys : queries });
  }

  /** Ask about a token together with those that are asked about already, or no more. */
  add = (position: number): void => this.#pickSeveral(toggled(this.#picked, position));
  /** Ask about all tokens from one to another. */
  span = (from: number, to: number): void => this.#pickSeveral(between(from, to));

  #pickSeveral(list: number[]): void {
    this.#given().figure.hover = {};
    if (this.by) this.#pickAll([], list);
    else this.#pickAll(list, []);
  }

  letGo = (): void => {
    const { figure } = this.#given();
    figure.hover = {};
    figure.pick({ queries: [], keys: [], positions: [] });
  };

  /** Read from a token of the model's answer. */
  answer = (to: number | undefined): void => {
    if (to === undefined) return;
    const { figure, head } = this.#given();
    this.direction = 'from';
    figure.hover = {};
    const queries = this.#tokensAt(to);
    figure.pick({ layers: [head.layer], heads: [head.head], queries, keys: [], positions: queries });
  };

  turn = (to: Direction): void => {
    if (to === this.direction) return;
    const { figure } = this.#given();
    const before = figure.selection.positions.length ? this.asked : [];
    this.direction = to;
    // What is picked stays what is asked about, one token or several: it was read from, now it is read.
    if (!before.length) return;
    const own = new Set(before.map((at) => Math.min(at, this.#count - 1)));
    const tokens = [...own].flatMap((at) => this.#tokensAt(at));
    figure.pick({ queries: this.by ? [] : tokens, keys: this.by ? tokens : [], positions: tokens });
  };
}
