import { expect, test } from 'vitest';
import { chance, fixed, general, readout, tick } from '../src/number';
import { decode, errorOf, type Header } from '../src/wire';
import { random } from './random';

/** A printed number read back: U+2212 and thousands separators are ours, the rest is a number. */
const parse = (text: string) =>
  Number(text.replaceAll('−', '-').replaceAll(',', '').replace('∞', 'Infinity').replace('NaN', 'NaN'));

/** Digits after the point, exponents taken into account: the place of the last digit that was printed. */
function lastPlace(text: string): number {
  const [mantissa, exponent] = text.replaceAll('−', '-').replaceAll(',', '').split('e');
  return 10 ** (Number(exponent ?? 0) - (mantissa.split('.')[1] ?? '').length);
}

test.each([
  [2.4113927, '2.411'],
  [-0.5, '−0.5000'],
  [0, '0'],
  [-0, '0'],
  [308865, '308,865'],
  [-1234567, '−1,234,567'],
  [1234.56, '1,235'],
  [12345.6, '12,346'],
  [99999.4, '99,999'],
  [123456.7, '1.235e5'],
  [1e-30, '1.000e−30'],
  [0.001, '0.001000'],
  [Infinity, '∞'],
  [-Infinity, '−∞'],
  [NaN, 'NaN'],
])('general prints %d as %s', (value, text) => expect(general(value)).toBe(text));

test.each([
  [0.95341, 4, '0.9534'],
  [-0.001, 2, '0.00'], // what prints as zero has no sign
  [-0.02, 2, '−0.02'],
  [NaN, 2, 'NaN'],
  [-Infinity, 2, '−∞'],
  [1e22, 2, '1.000e22'],
])('fixed prints %d with %d decimals as %s', (value, decimals, text) => expect(fixed(value, decimals)).toBe(text));

test.each([
  [6.6783, '6.68'],
  [0.5, '0.5'],
  [0, '0'],
  [-2, '−2'],
  [1000, '1,000'],
  [0.0001, '1e−4'],
  [2500000, '2.5e6'],
])('tick prints %d as %s', (value, text) => expect(tick(value)).toBe(text));

test('a probability that three decimals would print as 0.000 has its first digits', () => {
  expect([1, 0.5, 4.9e-4, 4.96e-4, 5e-4, 0].map((p) => chance(p))).toEqual([
    '1.000',
    '0.500',
    '4.9e−4',
    '4.96e−4',
    '0.001',
    '0',
  ]);
  expect([2.345e-5, 4.96e-4].map((p) => chance(p, 1))).toEqual(['2e−5', '5e−4']);
  expect(chance(NaN)).toBe('NaN');
});

test('an exact read-out is the value rounded at its last printed digit', () => {
  const next = random(1);
  for (let k = 0; k < 20_000; k++) {
    const value = (next() - 0.5) * 10 ** (next() * 40 - 20);
    const text = readout(value, 'exact');
    expect(text).not.toContain('±');
    expect(Math.abs(parse(text) - value)).toBeLessThanOrEqual(0.5 * lastPlace(text) * (1 + 1e-9));
  }
});

test('a read-out of lossy numbers is never further from the true one than the error that it prints', () => {
  const next = random(2);
  for (const precision of ['float16', 'sqrt8'] as const) {
    for (let k = 0; k < 20_000; k++) {
      const size = 10 ** (next() * 8 - 6);
      const value = precision === 'sqrt8' ? next() ** 4 : (next() - 0.5) * size;
      const decoded = throughTheWire(value, precision);
      expect(Math.abs(decoded - value)).toBeLessThanOrEqual(errorOf(decoded, precision) * (1 + 1e-4));
      const [number, error] = readout(decoded, precision).split(' ± ').map(parse);
      expect(Math.abs(number - value), `${value} read as ${number} ± ${error}`).toBeLessThanOrEqual(error);
      // It says no more than it must: the printed error is at most ten units of the last digit and one.
      expect(error).toBeLessThanOrEqual(12 * errorOf(decoded, precision) + 1e-12);
    }
  }
});

test('values that are no numbers have no error', () => {
  for (const precision of ['float16', 'sqrt8', 'exact'] as const) {
    expect(readout(NaN, precision)).toBe('NaN');
    expect(readout(Infinity, precision)).toBe('∞');
  }
});

/** As mechviz/wire.py encodes it. */
function throughTheWire(value: number, precision: 'float16' | 'sqrt8'): number {
  const shape = [1];
  if (precision === 'sqrt8') {
    const header: Header = { dtype: 'uint8', shape, encoding: 'sqrt8', layout: 'dense', exact: false };
    return decode(header, Uint8Array.of(Math.round(Math.sqrt(value) * 255))).data[0];
  }
  const header: Header = { dtype: 'float16', shape, encoding: 'raw', layout: 'dense', exact: false };
  return decode(header, Uint16Array.of(half(value))).data[0];
}

/** The float16 nearest to a value (away from zero in a tie, which costs no more). */
function half(value: number): number {
  const size = Math.abs(value);
  const exponent = Math.max(Math.floor(Math.log2(size || 1e-300)), -14);
  const units = Math.round(size / 2 ** (exponent - 10)); // 1024 … 2048, fewer below 2^-14
  const bits = units >= 1024 ? ((exponent + 15) << 10) + (units - 1024) : units;
  return (value < 0 ? 0x8000 : 0) | bits;
}
