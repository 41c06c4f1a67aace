/** The one decoder: `{dtype, shape, bytes}` from Python (mechviz/wire.py) -> typed arrays with a shape. */

/** How an array travels. `sqrt8` holds round(255·√p) of a probability; `lower` keeps the triangle key <= query only. */
export interface Header {
  dtype: Dtype;
  shape: number[];
  encoding: 'raw' | 'sqrt8';
  layout: 'dense' | 'lower';
  /** True when decoding gives back every value of the source bit for bit. */
  exact: boolean;
  /** Fetched when a view opens it, not before the first picture. */
  lazy?: boolean;
  /** Left out of this file (a frozen twin keeps what was on screen). */
  absent?: boolean;
}

export type Dtype =
  'float64' | 'float32' | 'float16' | 'int32' | 'uint32' | 'int16' | 'uint16' | 'int8' | 'uint8' | 'bool';
export type Numbers =
  Float64Array | Float32Array | Int32Array | Uint32Array | Int16Array | Uint16Array | Int8Array | Uint8Array;

/** How far a decoded number can be from the model's: not at all, or by what the encoding loses. */
export type Precision = 'exact' | 'float32' | 'float16' | 'sqrt8';

export interface NdArray {
  data: Numbers;
  shape: number[];
  precision: Precision;
}

const VIEWS = {
  float64: Float64Array,
  float32: Float32Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

export function decode(header: Header, bytes: ArrayBuffer | ArrayBufferView): NdArray {
  let data = typed(header.dtype, aligned(bytes));
  if (header.encoding === 'sqrt8') data = floats(data, (u) => (u / 255) ** 2);
  if (header.layout === 'lower') data = unpackLower(data, header.shape);
  const size = header.shape.reduce((a, b) => a * b, 1);
  if (data.length !== size) {
    throw new RangeError(`array of shape (${header.shape.join(', ')}) needs ${size} numbers; ${data.length} came`);
  }
  return { data, shape: header.shape, precision: precisionOf(header) };
}

/** Largest distance between `value`, as decoded, and the number it was encoded from. */
export function errorOf(value: number, precision: Precision): number {
  if (precision === 'exact' || !Number.isFinite(value)) return 0;
  // Half a unit in the last place: float16 has 11 significant bits and is subnormal below 2^-14, float32 24 and 2^-126.
  if (precision === 'float16') return 2 ** (Math.max(exponentOf(value), -14) - 11);
  if (precision === 'float32') return 2 ** (Math.max(exponentOf(value), -126) - 24);
  // p = (u/255)² with u off by at most a half.
  const u = Math.round(Math.sqrt(value) * 255);
  return (u + 0.25) / 65025;
}

function exponentOf(value: number): number {
  return Math.floor(Math.log2(Math.abs(value) || 1e-300));
}

function precisionOf(header: Header): Precision {
  if (header.exact) return 'exact';
  if (header.encoding === 'sqrt8') return 'sqrt8';
  return header.dtype === 'float16' ? 'float16' : 'float32';
}

/** Typed arrays need aligned memory; a message's buffer may start anywhere. */
function aligned(bytes: ArrayBuffer | ArrayBufferView): ArrayBuffer {
  if (bytes instanceof ArrayBuffer) return bytes;
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
}

function typed(dtype: Dtype, buffer: ArrayBuffer): Numbers {
  if (dtype === 'float16') return floats(new Uint16Array(buffer), halfToFloat);
  const View = VIEWS[dtype];
  if (!View) throw new TypeError(`unknown dtype ${String(dtype)}`);
  return new View(buffer);
}

/** A loop: `Float32Array.from` with a function takes thirty times as long, which a head of 1,024 tokens shows. */
function floats(codes: Numbers, value: (code: number) => number): Float32Array {
  const out = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) out[i] = value(codes[i]);
  return out;
}

function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024) : sign * 2 ** -14 * (fraction / 1024);
}

/** [..., n·(n+1)/2] -> [..., n, n] with zeros above the diagonal. */
function unpackLower(packed: Numbers, shape: number[]): Numbers {
  const n = shape[shape.length - 1];
  const planes = shape.slice(0, -2).reduce((a, b) => a * b, 1);
  const out = new (packed.constructor as Float32ArrayConstructor)(planes * n * n);
  let from = 0;
  for (let plane = 0; plane < planes; plane++) {
    for (let row = 0; row < n; row++) {
      out.set(packed.subarray(from, from + row + 1) as Float32Array, (plane * n + row) * n);
      from += row + 1;
    }
  }
  return out;
}
