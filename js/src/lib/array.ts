/** Numbers with a shape, as a component is given them. */
import type { Numbers, Precision } from '../wire';

/** A typed array with a shape, rows last index fastest: `x.at(i, j)`, `x.row(i)`, `for (const v of x)`. */
export class NdArray {
  constructor(
    /** All numbers, the last axis fastest. */
    readonly data: Numbers,
    readonly shape: number[] = [data.length],
    /** "exact" unless Python was asked to send less (`wire.Array(x, precision="float16")`). */
    readonly precision: Precision = 'exact',
  ) {
    const size = shape.reduce((a, b) => a * b, 1);
    if (size !== data.length)
      throw new RangeError(`shape (${shape.join(', ')}) needs ${size} numbers; got ${data.length}`);
  }

  /** Length of the first axis. */
  get length(): number {
    return this.shape[0] ?? 1;
  }

  /** One number; an index may count from the end, as in `at(-1)`. */
  at(...index: number[]): number {
    if (index.length !== this.shape.length) {
      throw new RangeError(
        `at(${index.join(', ')}) needs ${this.shape.length} indices for shape (${this.shape.join(', ')})`,
      );
    }
    return this.data[this.#offset(index)];
  }

  /** What lies at an index of the first axis, sharing memory: `x.row(i).at(j)` is `x.at(i, j)`. */
  row(i: number): NdArray {
    const size = this.shape.slice(1).reduce((a, b) => a * b, 1);
    const start = this.#offset([i]) * size;
    return new NdArray(this.data.subarray(start, start + size), this.shape.slice(1), this.precision);
  }

  /** Smallest and largest number; NaN is left out, and without numbers both are NaN. */
  extent(): [number, number] {
    let [low, high] = [NaN, NaN];
    for (const value of this.data) {
      if (!(value >= low)) low = Number.isNaN(value) ? low : value;
      if (!(value <= high)) high = Number.isNaN(value) ? high : value;
    }
    return [low, high];
  }

  /** As lists of lists. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  toNested(): any {
    if (!this.shape.length) return this.data[0];
    if (this.shape.length === 1) return Array.from(this.data);
    return Array.from({ length: this.length }, (_, i) => this.row(i).toNested());
  }

  /** Numbers of one axis, rows of more. */
  *[Symbol.iterator](): Generator<number | NdArray> {
    if (this.shape.length === 1) yield* this.data;
    else for (let i = 0; i < this.length; i++) yield this.row(i);
  }

  #offset(index: number[]): number {
    let offset = 0;
    for (let axis = 0; axis < index.length; axis++) {
      const n = this.shape[axis];
      const i = index[axis] < 0 ? index[axis] + n : index[axis];
      if (!(i >= 0 && i < n && Number.isInteger(i))) {
        throw new RangeError(`index ${index[axis]} is outside axis ${axis} of shape (${this.shape.join(', ')})`);
      }
      offset = offset * n + i;
    }
    return offset;
  }
}
