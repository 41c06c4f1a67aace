/** What an attention view shows as tables: the row or column that is pointed at, and the cells of the large drawing. */
import { digitsOf, type Field } from '../export/csv';
import type { Table } from '../export/files';
import { edgesOf, lastColumn, type Direction, type Line, type Pooling, type Tile } from '../pattern/pattern';
import type { TokensJson } from '../views/types';
import { say } from '../words';
import { exactness } from './attentionwords';
import { patchName } from './label';
import type { OpenHead } from './openhead.svelte';
import { behind, isMasked, type Mask } from './seen';

/** What the numbers are, in words. */
export interface About {
  /** "L1H0" */
  head: string;
  /** "attention probability" */
  quantity: string;
  queries: TokensJson;
  keys: TokensJson;
  /** "edited: …", "renormalised …", how exact the numbers are. */
  notes: string[];
  /** Queries or keys that a line is of, where they are several, and what that is called. */
  subjects?: number[];
  called?: string;
  /** 1 for those that are hidden or taken out: they have no numbers. */
  without?: { queries?: Uint8Array; keys?: Uint8Array };
  mask?: Mask;
}

/** One line a weight, each with all that it is: tables are taken apart and put together. */
export function lineTable(
  { head, quantity, queries, keys, notes, subjects = [], called, without, mask }: About,
  direction: Direction,
  subject: number,
  { start, values }: Line,
  errorOf: (value: number, at: number) => number,
): Field[][] {
  const names = ['head', 'quantity', 'query', 'query token', 'key', 'key token', 'value', 'error at most', 'notes'];
  const said = notes.join('; ');
  const by = direction === 'by';
  const several = subjects.length > 1;
  const own: Field = several ? subjects.join(' ') : subject;
  const ownToken = several ? (called ?? '') : tokenOf(by ? keys : queries, subject);
  const unseen =
    mask?.sink === undefined ? without?.keys : behind(several ? subjects : [subject], mask.sink, without?.keys);
  const hidden = by ? without?.queries : unseen;
  return [
    names,
    ...Array.from({ length: values.length }, (_, i): Field[] => {
      const other = start + i;
      const ends: Field[] = by
        ? [other, tokenOf(queries, other), own, ownToken]
        : [own, ownToken, other, tokenOf(keys, other)];
      return [head, quantity, ...ends, digitsOf(values, i), errorOf(values[i], other), said];
    }).filter((_, i) => !hidden?.[start + i]),
  ];
}

/** Rows are queries and columns keys; the corner says what the numbers are. Masked cells are empty. */
export function* tileTable(
  { head, quantity, queries, keys, notes, without, mask = {} }: About,
  tile: Tile,
  causal: boolean,
  /** How cells of several weights are pooled: "max of 8 × 8 cells". */
  pooled?: string,
): Generator<Field[]> {
  const edges = edgesOf(tile, queries.label.length, keys.label.length);
  const corner = [head, quantity, ...(pooled ? [pooled] : []), ...notes].join('; ');
  const names = Array.from({ length: tile.cols }, (_, c) => {
    const [from, to] = [edges.cols[c], edges.cols[c + 1]];
    return `${rangeOf(from, to)} ${spanOf(keys, from, to)}`;
  });
  yield [corner, 'query token', ...names];
  for (let r = 0; r < tile.rows; r++) {
    const [from, to] = [edges.rows[r], edges.rows[r + 1]];
    const last = causal ? lastColumn(tile, r) : tile.cols - 1;
    const out = allOf(without?.queries, from, to);
    const gone = (c: number) => {
      const [first, stop] = [edges.cols[c], edges.cols[c + 1]];
      return out || allOf(without?.keys, first, stop) || isMasked(mask, [from, to], [first, stop]);
    };
    const cells = names.map((_, c) => (c > last || gone(c) ? undefined : digitsOf(tile.values, r * tile.cols + c)));
    yield [to - from > 1 ? rangeOf(from, to) : from, spanOf(queries, from, to), ...cells];
  }
}

function allOf(marks: Uint8Array | undefined, from: number, to: number): boolean {
  return marks !== undefined && marks.subarray(from, to).every(Boolean);
}

function rangeOf(from: number, to: number): string {
  return to - from > 1 ? `${from}-${to - 1}` : String(from);
}

function spanOf(tokens: TokensJson, from: number, to: number): string {
  return to - from > 1 ? `${tokenOf(tokens, from)} … ${tokenOf(tokens, to - 1)}` : tokenOf(tokens, from);
}

/** As it was read: the very string, not its role; of a patch where it is. */
function tokenOf(tokens: TokensJson, position: number): string {
  return patchName(tokens, position) ?? tokens.label[position];
}

/** What there is to be saved. */
export interface Tabled {
  about: About;
  shown: OpenHead;
  direction: Direction;
  subject: number;
  line: Line | undefined;
  /** Of the large drawing, once all of it is here. */
  cells(): Tile | undefined;
  causal: boolean;
  pooling: Pooling;
  /** That in words. */
  rule: string;
  /** The largest size that a weight can have. */
  limit: number;
}

/** The row or column, and the map. */
export function tablesOf(tabled: Tabled): Table[] {
  const { about, shown, direction, subject, line, cells, causal, pooling, rule, limit } = tabled;
  const by = direction === 'by';
  const own = about.called ?? say(by ? 'export.column.name' : 'export.row.name', { position: subject });
  return [
    {
      word: say(by ? 'export.column' : 'export.row'),
      name: `${about.head} ${own}`,
      rows: () => line && lineTable(about, direction, subject, line, (v, at) => shown.errorOf(v, at)),
    },
    {
      word: say('export.map'),
      name: `${about.head} ${say('export.map.name')}`,
      rows: async () => {
        const [tile, { pattern }] = [cells(), shown];
        if (!tile || !pattern) return undefined;
        const pooled = tile.step > 1 ? say('map.pooled', { rule, step: tile.step }) : undefined;
        const carried = exactness(pattern, false, limit, (v) => shown.carriedError(v));
        const exact = await shown.exactCells(tile, pooling);
        const told = exact || pattern.precision === 'exact' ? say('attention.exact') : carried;
        return tileTable({ ...about, notes: [...about.notes, told] }, exact ?? tile, causal, pooled);
      },
    },
  ];
}
