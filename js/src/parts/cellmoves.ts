/** Where keys lead in a drawing of queries and keys: keys across, queries down. */
import { visible, type Cell } from '../pattern/pattern';

/** Steps down and across, by the event's key. */
export const MOVES: Record<string, [rows: number, cols: number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  Home: [0, -Infinity],
  End: [0, Infinity],
  PageUp: [-10, 0],
  PageDown: [10, 0],
};

/** The next cell; under a causal mask the query leads and the key follows, or the other way round in a column. */
export function moved(
  { query, key }: Cell,
  [rows, cols]: [number, number],
  { queries, keys, causal, by }: { queries: number; keys: number; causal: boolean; by: boolean },
): Cell {
  const clamp = (value: number, low: number, high: number) => Math.max(low, Math.min(high, value));
  if (by) {
    const next = clamp(key + cols, 0, keys - 1);
    return { key: next, query: clamp(query + rows, causal ? next : 0, queries - 1) };
  }
  const next = clamp(query + rows, 0, queries - 1);
  return { query: next, key: clamp(key + cols, 0, visible({ keys, causal }, next) - 1) };
}
