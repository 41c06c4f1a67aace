/** Finds the point nearest to the pointer among very many: a uniform grid over the data, columns of numbers only. */
import type { Numbers } from '../wire';
import { extentOf } from './chartaxis';

/** Points to a cell, on the average. */
const CROWD = 4;

export class PointGrid {
  /** Points of cell c: `#order[#starts[c]]` up to `#order[#starts[c + 1]]`. */
  #starts: Uint32Array;
  #order: Uint32Array;
  #side: number;
  #x0 = 0;
  #y0 = 0;
  #perX = 0;
  #perY = 0;

  /** Points whose x or y is not finite are in no cell. */
  constructor(
    readonly x: Numbers,
    readonly y: Numbers,
  ) {
    const [ex, ey] = [extentOf(x) ?? [0, 0], extentOf(y) ?? [0, 0]];
    this.#side = Math.max(1, Math.min(1024, Math.ceil(Math.sqrt(x.length / CROWD))));
    [this.#x0, this.#y0] = [ex[0], ey[0]];
    this.#perX = ex[1] > ex[0] ? this.#side / (ex[1] - ex[0]) : 0;
    this.#perY = ey[1] > ey[0] ? this.#side / (ey[1] - ey[0]) : 0;
    const cells = new Int32Array(x.length);
    const starts = new Uint32Array(this.#side ** 2 + 1);
    for (let i = 0; i < x.length; i++) {
      const known = Number.isFinite(x[i]) && Number.isFinite(y[i]);
      cells[i] = known ? this.#row(y[i]) * this.#side + this.#column(x[i]) : -1;
      if (known) starts[cells[i] + 1]++;
    }
    for (let c = 0; c < starts.length - 1; c++) starts[c + 1] += starts[c];
    const next = starts.slice();
    this.#order = new Uint32Array(starts[starts.length - 1]);
    for (let i = 0; i < x.length; i++) if (cells[i] >= 0) this.#order[next[cells[i]]++] = i;
    this.#starts = starts;
  }

  /** The point nearest to (x, y) within `reachX` and `reachY`, which count alike: an ellipse that is a circle on screen. */
  nearest(x: number, y: number, reachX: number, reachY: number): number | undefined {
    let [best, found] = [1, undefined as number | undefined];
    this.#visit(x - reachX, x + reachX, y - reachY, y + reachY, (i) => {
      const away = ((this.x[i] - x) / reachX) ** 2 + ((this.y[i] - y) / reachY) ** 2;
      // Of two at one place the later one, which is drawn on top.
      if (away < best || (away === best && (found === undefined || i > found))) [best, found] = [away, i];
    });
    return found;
  }

  /** All points of a rectangle, in their order. */
  within(x0: number, x1: number, y0: number, y1: number): number[] {
    const found: number[] = [];
    this.#visit(x0, x1, y0, y1, (i) => {
      if (this.x[i] >= x0 && this.x[i] <= x1 && this.y[i] >= y0 && this.y[i] <= y1) found.push(i);
    });
    return found.sort((a, b) => a - b);
  }

  #visit(x0: number, x1: number, y0: number, y1: number, visit: (i: number) => void): void {
    const [left, right] = [this.#column(x0), this.#column(x1)];
    for (let row = this.#row(y0); row <= this.#row(y1); row++) {
      const [from, to] = [this.#starts[row * this.#side + left], this.#starts[row * this.#side + right + 1]];
      for (let k = from; k < to; k++) visit(this.#order[k]);
    }
  }

  #column(x: number): number {
    return Math.max(0, Math.min(this.#side - 1, Math.floor((x - this.#x0) * this.#perX)));
  }

  #row(y: number): number {
    return Math.max(0, Math.min(this.#side - 1, Math.floor((y - this.#y0) * this.#perY)));
  }
}
