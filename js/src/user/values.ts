/** Values between Python and a user's component: JSON with arrays, and what JSON cannot say. */
import { NdArray } from '../lib/array';
import type { Numbers } from '../wire';

const wrapped = new WeakMap<object, NdArray>();

/** As Python sends it (mechviz/_svelte/data.py) -> what the component is given. */
export function reveal(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reveal);
  if (value === null || typeof value !== 'object') return value;
  if (isArray(value)) return wrap(value);
  const object = value as Record<string, unknown>;
  if ('$number' in object) return Number(object.$number);
  if ('$list' in object) return wrap(object.$list as PlainArray).toNested();
  if ('$pairs' in object) {
    return Object.fromEntries((object.$pairs as [string, unknown][]).map(([key, item]) => [key, reveal(item)]));
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return value; // an array that is fetched when it is opened
  return Object.fromEntries(Object.entries(object).map(([key, item]) => [key, reveal(item)]));
}

/**
 * What a component has written -> JSON for Python.
 *
 * @throws TypeError for what has no meaning there, such as a function.
 */
export function conceal(value: unknown, path: string): unknown {
  if (value === undefined || value === null || typeof value === 'string' || typeof value === 'boolean')
    return value ?? null;
  if (typeof value === 'number') return Number.isFinite(value) ? value : { $number: String(value) };
  if (Array.isArray(value)) return value.map((item, i) => conceal(item, `${path}[${i}]`));
  if (typeof value !== 'object') throw new TypeError(`${path} cannot be sent to Python: it is a ${typeof value}`);
  if (isArray(value)) return packed(value.data, value.shape);
  if (ArrayBuffer.isView(value) && 'length' in value) return packed(value as Numbers, [Number(value.length)]);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Set) return [...value].map((item, i) => conceal(item, `${path}[${i}]`));
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return { $pairs: entries.map(([key, item]) => [String(key), conceal(item, `${path}.${String(key)}`)]) };
}

/** Whether Python has sent the same twice; arrays that did not change are the same object. */
export function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || isArray(a) || isArray(b))
    return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  const [keysA, keysB] = [Object.keys(a), Object.keys(b)];
  return (
    keysA.length === keysB.length && keysA.every((key) => same(a[key as keyof typeof a], b[key as keyof typeof b]))
  );
}

type PlainArray = Pick<NdArray, 'data' | 'shape' | 'precision'>;

function isArray(value: object): value is PlainArray {
  return 'shape' in value && 'data' in value && ArrayBuffer.isView(value.data);
}

/** One wrapper for one array, so that an unchanged prop is the same object. */
function wrap(array: PlainArray): NdArray {
  let nd = wrapped.get(array);
  if (!nd) wrapped.set(array, (nd = new NdArray(array.data, array.shape, array.precision)));
  return nd;
}

/** Numbers as bytes: a list in JSON would lose NaN and cost 20 bytes a number. */
function packed(data: Numbers, shape: number[]): unknown {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  let text = '';
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  const dtype = data.constructor.name.replace('Array', '').replace('Clamped', '').toLowerCase();
  return { $array: { dtype, shape, encoding: 'raw', layout: 'dense', exact: true }, bytes: btoa(text) };
}
