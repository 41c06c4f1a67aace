/** Numbers as text. Minus is U+2212; what prints as zero has no sign; nothing prints a digit that was not carried. */
import { errorOf, type Precision } from './wire';

/** Fixed decimals: 0.9534, −0.02, 0.00, ∞, NaN. */
export function fixed(value: number, decimals: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞';
  const text = Math.abs(value) >= 1e21 ? general(value) : value.toFixed(decimals);
  return minus(Number(text) === 0 ? text.replace('-', '') : text);
}

/** Four significant digits, whole numbers in full, exponents outside 0.001 … 99 999: 2.411, 308,865, 1.000e−30. */
export function general(value: number): string {
  if (!Number.isFinite(value)) return fixed(value, 0);
  if (value === 0) return '0';
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return minus(thousands(value.toString()));
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 99_999.5) return minus(value.toExponential(3));
  // toPrecision(4) would turn to exponents here.
  return minus(thousands(size >= 9_999.5 ? value.toFixed(0) : value.toPrecision(4)));
}

/**
 * A read-out of a number that travelled with `precision`: as `format` prints it when exact, else with its error
 * ("0.953 ± 0.004"), which covers the encoding and the rounding of the print.
 */
export function readout(value: number, precision: Precision, format: (v: number) => string = general): string {
  return withError(value, errorOf(value, precision), format);
}

/** A number that may be off by `error`, with at most `most` decimals; as `format` prints it when it cannot be off. */
export function withError(value: number, error: number, format: (v: number) => string, most = 12): string {
  if (error === 0 || !Number.isFinite(value)) return format(value);
  const decimals = Math.min(most, Math.max(0, Math.ceil(-Math.log10(error))));
  const unit = 10 ** -decimals;
  const bound = Math.ceil((error + unit / 2) / unit - 1e-9) * unit;
  return `${fixed(value, decimals)} ± ${bound.toFixed(decimals)}`;
}

/** A tick of an axis or a bar: as short as it can be said. */
export function tick(value: number): string {
  if (!Number.isFinite(value)) return fixed(value, 0);
  const short = Number(value.toPrecision(3));
  const size = Math.abs(short);
  if (short !== 0 && (size < 1e-3 || size >= 1e5)) return minus(short.toExponential().replace('e+', 'e'));
  return minus(thousands(String(short)));
}

/** A probability: three decimals, one that they would print as 0.000 by its first digits: 2e−5; what cannot be is 0. */
export function chance(p: number, digits = 3): string {
  if (p === 0) return '0';
  return p > 0 && p < 5e-4 ? tick(Number(p.toPrecision(digits))) : fixed(p, 3);
}

function minus(text: string): string {
  return text.replaceAll('-', '−').replace('e+', 'e');
}

function thousands(text: string): string {
  const [whole, fraction] = text.split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}
