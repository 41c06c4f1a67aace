/** Tokens that are picked together: which row or column they make, and what one more makes of them. */
import type { Selection } from '../selection';
import type { Direction } from '../pattern/pattern';

/** What is asked about where nothing is pointed at: one or several, those that exist, in order. */
export function pickedOf(direction: Direction, { queries, keys, positions }: Selection, count: number): number[] {
  const own = direction === 'by' ? keys : queries;
  // A cell is of one row: several of both are a part of the map.
  const list = own.length ? own : positions;
  return [...new Set(list)].filter((i) => i >= 0 && i < count).sort((a, b) => a - b);
}

/** With one more, or one less where it is among them. */
export function toggled(picked: number[], one: number): number[] {
  return picked.includes(one) ? picked.filter((i) => i !== one) : [...picked, one].sort((a, b) => a - b);
}

export function between(from: number, to: number): number[] {
  const low = Math.min(from, to);
  return Array.from({ length: Math.abs(to - from) + 1 }, (_, k) => low + k);
}
