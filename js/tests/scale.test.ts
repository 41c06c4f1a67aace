import { expect, test } from 'vitest';
import { beyond, position, positions, ticks, within, type Scale } from '../src/scale';
import { random } from './random';

const ink: Scale = { ramp: 'ink', limits: [0, 4] };
const signed: Scale = { ramp: 'signed', limits: [-2, 2] };

test('a value lies between the limits as a share', () => {
  expect([0, 1, 4, 6, -2].map((v) => position(ink, v))).toEqual([0, 0.25, 1, 1.5, -0.5]);
  expect([-2, 0, 1].map((v) => position(signed, v))).toEqual([0, 0.5, 0.75]);
  expect(position(ink, NaN)).toBeNaN();
  expect(position(ink, Infinity)).toBe(Infinity);
});

test('limits may be as far apart as numbers reach', () => {
  const [most, half] = [2 ** 1023, 2 ** 1022];
  for (const ramp of ['ink', 'signed'] as const) {
    for (const curve of [undefined, 'sqrt'] as const) {
      const scale: Scale = { ramp, limits: [-most, most], curve };
      const values = [-most, 0, half, most, Infinity];
      expect(values.map(positions(scale))).toEqual(values.map((v) => position(scale, v)));
      if (!curve) expect(values.map((v) => position(scale, v))).toEqual([0, 0.5, 0.75, 1, Infinity]);
      const marks = ticks(scale);
      expect(marks.every(Number.isFinite), String(marks)).toBe(true);
      expect([marks[0], marks.at(-1)]).toEqual([-most, most]);
    }
  }
  expect(ticks({ ramp: 'ink', limits: [-1e308, 1e308] })).toEqual([-1e308, 0, 1e308]);
});

test('a scale of no width shows its value as nothing, and what differs as beyond', () => {
  const flat: Scale = { ramp: 'ink', limits: [1, 1] };
  expect(position(flat, 1)).toBe(0);
  expect(position(flat, 2)).toBeGreaterThan(1);
  expect(position(flat, 0)).toBeLessThan(0);
  expect(position({ ramp: 'signed', limits: [0, 0] }, 0)).toBe(0.5);
  expect(ticks(flat)).toEqual([1]);
});

test('square root and logarithm keep the limits and the centre in place', () => {
  for (const curve of ['sqrt', 'log'] as const) {
    expect(position({ ...ink, curve }, 0)).toBeCloseTo(0);
    expect(position({ ...ink, curve }, 4)).toBe(1);
    expect(position({ ...signed, curve }, 0)).toBe(0.5);
    expect(position({ ...signed, curve }, -2)).toBe(0);
  }
  expect(position({ ...ink, curve: 'sqrt' }, 1)).toBe(0.5); // √(1/4)
  expect(position({ ...ink, curve: 'log' }, 0.04)).toBeCloseTo(0.5); // 1/100: two of four decades
});

test('beyond the limits is what rounding does not explain', () => {
  expect([4, 4 + 1e-7, 4.01, -0.01, 0, -1e-7].map((v) => beyond(ink, v))).toEqual([0, 0, 1, -1, 0, 0]);
  expect(beyond(ink, Infinity)).toBe(1);
  expect(beyond(ink, -Infinity)).toBe(-1);
  expect(beyond(ink, NaN)).toBe(0);
});

test('a bar has two to four ticks: its limits, and round numbers apart from each other', () => {
  expect(ticks({ ramp: 'ember', limits: [0, Math.log(795)] })).toEqual([0, 2, 4, Math.log(795)]);
  expect(ticks({ ramp: 'ink', limits: [0, 1] }).length).toBeGreaterThanOrEqual(3);
  expect(ticks(signed)).toEqual([-2, 0, 2]);
  const next = random(3);
  for (let k = 0; k < 2_000; k++) {
    const low = next() < 0.5 ? 0 : (next() - 0.5) * 10;
    const limits: [number, number] = [low, low + 10 ** (next() * 12 - 6)];
    for (const curve of ['linear', 'sqrt', 'log'] as const) {
      const marks = ticks({ ramp: 'ink', limits, curve });
      expect(marks.length, `${limits} ${curve}: ${marks}`).toBeLessThanOrEqual(4);
      expect(marks[0]).toBe(limits[0] + (curve === 'log' ? 1e-4 * (limits[1] - limits[0]) : 0));
      expect(marks.at(-1)).toBeCloseTo(limits[1], 9);
      expect([...marks].sort((a, b) => a - b)).toEqual(marks);
    }
  }
});

test('positions of very many numbers are those of one', () => {
  for (const curve of [undefined, 'linear', 'sqrt', 'log'] as const) {
    for (const limits of [
      [0, 1],
      [-2, 2],
      [3, 3],
      [0, 0.05],
      [-1.7e308, 1.7e308],
    ] as [number, number][]) {
      const scale: Scale = { ramp: limits[0] < 0 ? 'signed' : 'ink', limits, curve };
      const [at, [least, most]] = [positions(scale), within(scale)];
      for (const value of [-3, -1, 0, 0.0499, 0.05, 0.05 * (1 + 1e-7), 0.4, 1, 3, 5, Infinity, NaN]) {
        expect(at(value)).toBe(position(scale, value));
        expect(!(value >= least && value <= most)).toBe(Number.isNaN(value) || beyond(scale, value) !== 0);
      }
    }
  }
});
