/** Tables as comma-separated values (RFC 4180). */
import type { Numbers } from '../wire';

export type Field = string | number | undefined;

/** Cells that a spreadsheet would take for a formula begin with one of these; the wide ones count in Japanese ones. */
const FORMULA = /^[=+\-@\t\r＝＋－＠]/;

/**
 * Rows as a file: text in quotes, numbers bare, nothing where there is nothing. Text that a spreadsheet would run (a token
 * may be "=1+1") begins with an apostrophe.
 */
export function csvOf(rows: Iterable<Field[]>): string {
  let all = '';
  for (const row of rows) all += `${row.map(fieldOf).join(',')}\r\n`;
  return all;
}

function fieldOf(field: Field): string {
  if (field === undefined) return '';
  if (typeof field === 'number') return Number.isNaN(field) ? 'NaN' : String(field).replace('Infinity', 'inf');
  const safe = FORMULA.test(field) ? `'${field}` : field;
  return `"${safe.replaceAll('"', '""')}"`;
}

/** A number of an array with as few digits as give it back: those of a float32 are half as many. */
export function digitsOf(values: Numbers | ArrayLike<number>, i: number): number {
  const value = values[i];
  if (!(values instanceof Float32Array) || !Number.isFinite(value)) return value;
  for (let digits = 6; digits < 10; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}
