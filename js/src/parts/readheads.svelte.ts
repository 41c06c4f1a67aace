/** Heads as the reader asks for them: weighed, without hidden keys, put together, merged to words or spans. */
import { keepOf, overUnits, sharesOf, visibleOf, type Shares } from '../pattern/hidden';
import { Merged } from '../pattern/merged';
import type { Edges, Pattern, Reading } from '../pattern/pattern';

/** What is done to heads before they are shown; nothing where all of it is left out. */
export interface Transform {
  /** A factor for each key, one list a head. */
  factors?: Float32Array[];
  /** 1 for keys that are hidden. */
  out?: Uint8Array;
  /** Rows are shared out anew: they are probabilities. */
  share?: boolean;
  /** What they are known to sum to. */
  total?: number;
  /** 1 for queries that are hidden, too. */
  without?: Uint8Array;
  units?: Edges;
}

export interface Heads {
  /** Undefined while they are on their way. */
  heads: Pattern[] | undefined;
  combine?: Reading['combine'];
  transform?: Transform;
}

export class ReadHeads {
  #asked: () => Heads;
  #heads = $derived.by(() => this.#asked().heads);
  #combine = $derived.by(() => this.#asked().combine);
  #transform = $derived.by(() => this.#asked().transform);
  #out = $derived(this.#transform?.out);
  #share = $derived(this.#transform?.share);
  #total = $derived(this.#transform?.total);
  #visible = $derived.by(() => {
    const [heads, out, total] = [this.#heads, this.#out, this.#total];
    return heads && out && this.#share ? heads.map((head) => visibleOf(head, out, total)) : undefined;
  });
  #last?: { masses: ArrayLike<number>[]; without?: Uint8Array; shares: Shares };
  /** Factors of rows, and rows that are taken out; undefined where none are, or while they are on their way. */
  shares = $derived.by((): Shares | undefined => {
    const without = this.#transform?.without;
    const masses = this.#visible?.map((read) => read());
    if (!masses || masses.some((left) => left === undefined)) return undefined;
    const known = masses as ArrayLike<number>[];
    // What is read is told whenever anything of it changes: the pattern is made anew only where the numbers are others.
    const last = this.#last;
    if (last?.without === without && last?.masses.every((left, h) => left === known[h])) return last.shares;
    const shares = sharesOf(known, without);
    this.#last = { masses: known, without, shares };
    return shares;
  });
  /** Factors of keys and rows, one list a head; null for none, undefined while they are on their way. */
  #factors = $derived.by((): Pick<Reading, 'columns' | 'rows'> | null | undefined => {
    const { factors, out, share, units } = this.#transform ?? {};
    if (!factors && !out) return null;
    const shares = out && share ? this.shares : undefined;
    if (out && share && !shares) return undefined;
    const keep = out && keepOf(out);
    const columns = factors?.map((list) => (keep ? list.map((value, key) => value * keep[key]) : list)) ?? [keep!];
    const rows = shares && (units ? overUnits(shares, units.rows) : shares.rows);
    return { columns, rows };
  });
  /** Before words and spans are merged. */
  inner = $derived.by((): Pattern | undefined => {
    const [heads, factors] = [this.#heads, this.#factors];
    if (!heads || factors === undefined) return undefined;
    const [first, ...others] = heads;
    if (!factors && !others.length) return first;
    return first.read({ ...factors, combine: this.#combine }, others);
  });
  /** Every head by itself. */
  each = $derived.by((): Pattern[] | undefined => {
    const [heads, factors, units] = [this.#heads, this.#factors, this.#units];
    if (!heads || factors === undefined) return undefined;
    const own = (lists: Float32Array[] | undefined, h: number) => lists && [lists[lists.length > 1 ? h : 0]];
    return heads.map((head, h) => {
      const { columns, rows } = factors ?? {};
      const read = factors ? head.read({ columns: own(columns, h), rows: own(rows, h) }) : head;
      return units ? new Merged(read, units) : read;
    });
  });
  #units = $derived(this.#transform?.units);
  pattern = $derived(this.inner && this.#units ? new Merged(this.inner, this.#units) : this.inner);

  constructor(asked: () => Heads) {
    this.#asked = asked;
  }
}
