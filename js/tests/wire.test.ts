import { expect, test } from 'vitest';
import { decode, errorOf, type Dtype, type Header } from '../src/wire';

const header = (dtype: Dtype, shape: number[], more: Partial<Header> = {}): Header => ({
  dtype,
  shape,
  encoding: 'raw',
  layout: 'dense',
  exact: true,
  ...more,
});

test.each([
  ['float64', Float64Array.of(1 / 3, -0, NaN, Infinity, -Infinity, 5e-324)],
  ['float32', Float32Array.of(1 / 3, -0, NaN, Infinity, -Infinity, 1e-45)],
  ['int32', Int32Array.of(-(2 ** 31), 0, 2 ** 31 - 1)],
  ['uint32', Uint32Array.of(0, 2 ** 32 - 1)],
  ['int16', Int16Array.of(-32768, 32767)],
  ['uint16', Uint16Array.of(0, 65535)],
  ['int8', Int8Array.of(-128, 127)],
  ['uint8', Uint8Array.of(0, 255)],
] as const)('%s comes back as it was sent', (dtype, sent) => {
  const array = decode(header(dtype, [sent.length]), sent);
  expect(array.precision).toBe('exact');
  expect(array.data.constructor).toBe(sent.constructor);
  expect([...array.data]).toEqual([...sent]); // toEqual tells −0 from 0 and knows NaN
});

test('truth values are zeros and ones', () => {
  expect([...decode(header('bool', [3]), Uint8Array.of(1, 0, 1)).data]).toEqual([1, 0, 1]);
});

test.each([
  [0x0000, 0],
  [0x8000, -0],
  [0x3c00, 1],
  [0xc000, -2],
  [0x3555, 0.333251953125], // the float16 nearest to a third
  [0x7bff, 65504], // the largest
  [0x0400, 2 ** -14], // the smallest normal
  [0x03ff, 2 ** -14 * (1023 / 1024)], // the largest subnormal
  [0x0001, 2 ** -24], // the smallest subnormal
  [0x8001, -(2 ** -24)],
  [0x7c00, Infinity],
  [0xfc00, -Infinity],
  [0x7e00, NaN],
])('float16 %i is %d', (bits, value) => {
  const array = decode(header('float16', [1], { exact: false }), Uint16Array.of(bits));
  expect(array.data[0]).toBe(value);
  expect(array.precision).toBe('float16');
});

test('sqrt8 holds the square root: 0, the smallest weight, a quarter and 1', () => {
  // 51 = 255 · 0.2, the root of 0.04
  const array = decode(header('uint8', [4], { encoding: 'sqrt8', exact: false }), Uint8Array.of(0, 1, 51, 255));
  const expected = [0, 1 / 65025, 0.04, 1];
  expected.forEach((value, i) => expect(array.data[i]).toBeCloseTo(value, 7));
  expect(array.precision).toBe('sqrt8');
});

test('a lower triangle has zeros above the diagonal, in every plane', () => {
  // Two heads of three queries: 1 | 2 3 | 4 5 6 and 7 | 8 9 | 10 11 12
  const packed = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
  const array = decode(header('float32', [2, 3, 3], { layout: 'lower' }), packed);
  expect([...array.data]).toEqual([1, 0, 0, 2, 3, 0, 4, 5, 6, 7, 0, 0, 8, 9, 0, 10, 11, 12]);
});

test('a triangle of one token, and none', () => {
  expect([...decode(header('float32', [1, 1], { layout: 'lower' }), Float32Array.of(0.5)).data]).toEqual([0.5]);
  expect(decode(header('float32', [0, 4]), new Float32Array(0)).data.length).toBe(0);
});

test('a lower triangle of sqrt8 is both', () => {
  const lower = header('uint8', [2, 2], { layout: 'lower', encoding: 'sqrt8', exact: false });
  const array = decode(lower, Uint8Array.of(255, 0, 255));
  expect([...array.data]).toEqual([1, 0, 0, 1]);
});

test('a message may start anywhere in its buffer', () => {
  const buffer = new ArrayBuffer(11);
  const bytes = new Uint8Array(buffer, 3, 8);
  bytes.set(new Uint8Array(Float32Array.of(1.5, -2).buffer));
  expect([...decode(header('float32', [2]), bytes).data]).toEqual([1.5, -2]);
  expect([...decode(header('float32', [2]), new DataView(buffer, 3, 8)).data]).toEqual([1.5, -2]);
});

test('numbers that do not fill the shape are refused, and so is an unknown dtype', () => {
  expect(() => decode(header('float32', [2, 3]), new Float32Array(5))).toThrow('(2, 3) needs 6 numbers; 5 came');
  expect(() => decode(header('complex64' as Dtype, [1]), new Float32Array(2))).toThrow('unknown dtype complex64');
});

test('float64 that was sent as float32 says so', () => {
  expect(decode(header('float32', [1], { exact: false }), new Float32Array(1)).precision).toBe('float32');
  expect(decode(header('float32', [1]), new Float32Array(1)).precision).toBe('exact');
});

test('the error of an encoding: half a unit of a float16, half a step of a root', () => {
  expect(errorOf(1, 'exact')).toBe(0);
  expect(errorOf(1, 'float16')).toBe(2 ** -11);
  expect(errorOf(-1.999, 'float16')).toBe(2 ** -11);
  expect(errorOf(0, 'float16')).toBe(2 ** -25); // half of the smallest subnormal
  expect(errorOf(1, 'float32')).toBe(2 ** -24);
  expect(errorOf(0, 'float32')).toBe(2 ** -150); // half of the smallest subnormal
  expect(errorOf(1, 'sqrt8')).toBeCloseTo(1 - (254.5 / 255) ** 2, 4);
  expect(errorOf(0, 'sqrt8')).toBeCloseTo((0.5 / 255) ** 2, 12);
  expect(errorOf(NaN, 'float16')).toBe(0);
});
