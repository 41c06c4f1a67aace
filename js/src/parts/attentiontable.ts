/** What an attention view shows as tables: the row or column that is pointed at, and the cells of the large drawing. */
import { digitsOf, type Field } from '../export/csv';
import { edgesOf, lastColumn, type Direction, type Line, type Tile } from '../pattern/pattern';
import type { TokensJson } from '../views/types';

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
}

/** One line a weight, each with all that it is: tables are taken apart and put together. */
export function lineTable(
  { head, quantity, queries, keys, notes }: About,
  direction: Direction,
  subject: number,
  { start, values }: Line,
  errorOf: (value: number) => number,
): Field[][] {
  const names = ['head', 'quantity', 'query', 'query token', 'key', 'key token', 'value', 'error at most', 'notes'];
  const said = notes.join('; ');
  return [
    names,
    ...Array.from({ length: values.length }, (_, i): Field[] => {
      const [query, key] = direction === 'by' ? [start + i, subject] : [subject, start + i];
      const value = digitsOf(values, i);
      return [head, quantity, query, tokenOf(queries, query), key, tokenOf(keys, key), value, errorOf(value), said];
    }),
  ];
}

/** Rows are queries and columns keys; the corner says what the numbers are. Masked cells are empty. */
export function* tileTable(
  { head, quantity, queries, keys, notes }: About,
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
    const cells = names.map((_, c) => (c > last ? undefined : digitsOf(tile.values, r * tile.cols + c)));
    yield [to - from > 1 ? rangeOf(from, to) : from, spanOf(queries, from, to), ...cells];
  }
}

function rangeOf(from: number, to: number): string {
  return to - from > 1 ? `${from}-${to - 1}` : String(from);
}

function spanOf(tokens: TokensJson, from: number, to: number): string {
  return to - from > 1 ? `${tokenOf(tokens, from)} … ${tokenOf(tokens, to - 1)}` : tokenOf(tokens, from);
}

/** As it was read: the very string, not its role. */
function tokenOf(tokens: TokensJson, position: number): string {
  return tokens.label[position];
}
