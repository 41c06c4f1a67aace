/** What lines between tokens show: which tokens stand in the columns, which lines are drawn, and that in words. */
import { untrack } from 'svelte';
import { tick } from '../number';
import type { Cell, Line, Pattern } from '../pattern/pattern';
import type { TokensJson } from '../views/types';
import { say } from '../words';
import { boundaryOf } from './answer';
import { holds, lineIn, linksOf, MOST, outside, ownLinks, windowOf, type Link, type Links } from './bipartite';
import type { Look } from './cells';
import type { Focus } from './heatmap';

export interface Shown {
  /** One, or each of several heads that are drawn side by side; undefined while they are on their way. */
  patterns: Pattern[] | undefined;
  queries: TokensJson;
  keys: TokensJson;
  focus: Focus;
  /** The row or column pointed at, of one pattern: as the read-out has it. */
  line: Line | undefined;
  /** Other tokens that are read with the one pointed at: `line` is of all of them. */
  also: number[] | undefined;
  /** Something is pointed at or picked: its lines stand out. */
  active: boolean;
  /** What is picked comes into sight. */
  picked: Partial<Cell> | undefined;
  look: Look;
  /** The largest size that a weight can have. */
  full: number;
  /** What is compared with the limit: "weight". */
  what: string;
  print(value: number): string;
}

const NONE: Links = { links: [], all: 0 };

/** Made while a component is set up. */
export class LinesModel {
  #shown: () => Shown;
  /** Weights of this size and more have a line; a twentieth of the largest that there can be until the reader says so. */
  limit = $state<number>();
  /** The cell that the windows are round. */
  #middle = $state.raw<Cell>({ query: 0, key: 0 });

  #patterns = $derived.by(() => this.#shown().patterns);
  #queries = $derived.by(() => this.#shown().queries);
  #keys = $derived.by(() => this.#shown().keys);
  #focus = $derived.by(() => this.#shown().focus);
  #active = $derived.by(() => this.#shown().active);
  #line = $derived.by(() => this.#shown().line);
  #causal = $derived.by(() => this.#shown().look.causal);
  #full = $derived.by(() => this.#shown().full);
  // By itself: what keys have led to stays in sight while another token is pointed at.
  #picked = $derived.by(() => this.#shown().picked);

  by = $derived(this.#focus.direction === 'by');
  rows = $derived(windowOf(this.#queries.label.length, this.#middle.query));
  cols = $derived(windowOf(this.#keys.label.length, this.#middle.key));
  #windowed = $derived(
    this.rows[1] - this.rows[0] < this.#queries.label.length || this.cols[1] - this.cols[0] < this.#keys.label.length,
  );
  least = $derived(this.limit ?? this.#full / 20);
  #tiles = $derived(this.#patterns?.map((pattern) => pattern.tile(1, this.rows, this.cols)));
  /** What has come; all of it where there is one for each pattern. */
  tiles = $derived(this.#tiles?.filter((tile) => tile !== undefined) ?? []);
  complete = $derived(
    this.#tiles !== undefined &&
      this.tiles.length === this.#tiles.length &&
      this.tiles.every(({ done, rows }) => (done ?? rows) === rows),
  );
  /** Several heads side by side. */
  apart = $derived((this.#patterns?.length ?? 1) > 1);
  drawn = $derived(this.tiles.length === this.#tiles?.length ? linksOf(this.tiles, this.#causal, this.least) : NONE);
  #subjects = $derived.by(() => [this.#focus.subject, ...(this.#shown().also ?? [])]);
  /** Rows or columns of a token; of one token and pattern the read-out's own, which the kernel may have answered. */
  #linesOf(subject: number): (Line | undefined)[] {
    if (!this.apart && this.#subjects.length === 1) return [this.#line];
    return this.tiles.map((tile) => lineIn(tile, this.by, subject, this.#causal));
  }
  #others = $derived(this.by ? this.rows : this.cols);
  #lowest = $derived(Math.min(this.least, this.#full / 100));
  /** A token that is pointed at stands in its column. */
  seen = $derived(this.#subjects.some((subject) => holds(this.by ? this.cols : this.rows, subject)));
  /** The lines of what is pointed at, the weakest first. */
  own = $derived.by((): Link[] => {
    if (!this.#active || !this.seen) return [];
    return this.#subjects.flatMap((subject) =>
      holds(this.by ? this.cols : this.rows, subject)
        ? ownLinks(this.#linesOf(subject), this.by, subject, this.#others, this.#lowest)
        : [],
    );
  });
  /** What stands at their ends: the numbers of each line, or of several tokens what they come to together. */
  numbers = $derived.by((): Link[] => {
    if (this.#subjects.length === 1) return this.own;
    if (!this.#active || this.apart) return [];
    return ownLinks([this.#line], this.by, this.#focus.subject, this.#others, this.#lowest);
  });
  /** Where the answer begins in either column, if that is in sight. */
  answers = $derived.by(() => {
    const [query, key] = [boundaryOf(this.#queries), boundaryOf(this.#keys)];
    return { query: holds(this.rows, query) ? query : undefined, key: holds(this.cols, key) ? key : undefined };
  });

  /** By which rule lines are drawn, of which tokens, and what lies outside. */
  said = $derived.by(() => {
    const { print, queries, keys, what } = this.#shown();
    const rule = { n: this.drawn.all, most: MOST, least: tick(this.least), what };
    const parts = [say(this.drawn.all > MOST ? 'lines.most' : 'lines.rule', rule)];
    if (this.#windowed) {
      const [top, bottom, left, right] = [...this.rows, ...this.cols];
      const count = { down: queries.label.length, across: keys.label.length };
      parts.push(say('map.part', { top, bottom: bottom - 1, left, right: right - 1, ...count }));
      const away = this.#active && !this.apart ? outside(this.#line, this.by ? this.rows : this.cols) : 0;
      if (away) parts.push(say(this.by ? 'lines.outside.by' : 'lines.outside', { n: print(away) }));
    }
    const first = boundaryOf(queries);
    if (first !== undefined) parts.push(say('answer.from', { position: first }));
    return parts.join(' · ');
  });

  constructor(shown: () => Shown) {
    this.#shown = shown;
    this.#middle = untrack(() => this.#begin());
    $effect(() => {
      void [this.#queries, this.#keys];
      untrack(() => (this.#middle = this.#begin()));
    });
    $effect(() => {
      const picked = this.#picked;
      untrack(() => picked && this.reveal(picked));
    });
  }

  /** Bring a token, or both ends of a line, into sight. */
  reveal(cell: Partial<Cell>): void {
    const inside =
      (cell.query === undefined || holds(this.rows, cell.query)) && holds(this.cols, cell.key ?? this.cols[0]);
    if (!inside) this.#middle = this.#around(cell);
  }

  #begin(): Cell {
    const { picked, queries } = this.#shown();
    return this.#around(picked ?? { query: queries.label.length - 1 });
  }

  /** Where only one end is known, the same tokens stand at the other. */
  #around({ query, key }: Partial<Cell>): Cell {
    const { queries, keys } = this.#shown();
    const other = queries === keys ? (query ?? key ?? 0) : 0;
    return { query: query ?? other, key: key ?? other };
  }
}
