/** The cells of a matrix that stays in the kernel: a stretch of it round what is shown, over what was there before. */
import type { Pattern, Tile } from '../pattern/pattern';
import { steps } from '../pattern/pattern';
import type { Numbers } from '../wire';
import type { Plan, Run } from './matrix';

/** Cells, each of `down` × `across` numbers from a corner on. */
interface Part {
  values: Numbers;
  rows: number;
  cols: number;
  top: number;
  left: number;
  down: number;
  across: number;
}
type Stretch = readonly [from: number, to: number];

/** Edges of a stretch lie at multiples of so many cells: a map that is dragged asks now and then, not in every frame. */
const BLOCK = 32;

export class MatrixTiles {
  #region?: { rows: Stretch; cols: Stretch; down: number; across: number };
  /** All of it, and what was shown last: what stands under cells that are not here yet. */
  #beneath: Part[] = [];

  constructor(
    readonly pattern: Pattern,
    /** A small version of all of it. */
    preview: { values: Numbers; rows: number; cols: number } | undefined,
  ) {
    const { queries, keys } = pattern;
    if (preview) {
      const [down, across] = [Math.ceil(queries / preview.rows), Math.ceil(keys / preview.cols)];
      this.#beneath = [{ ...preview, top: 0, left: 0, down, across }];
    }
  }

  /** What is drawn for a plan; asks for what is missing, and whoever has read it in a `$derived` is run again. */
  tile({ x, y }: Plan): Tile {
    const region = this.#around(y, x);
    const { rows, cols, down, across } = region;
    const found = this.pattern.cut({ rows: steps(rows, down), cols: steps(cols, across) });
    const here: Part | undefined = found && {
      values: found.values,
      rows: found.done ?? found.rows,
      cols: found.cols,
      top: rows[0],
      left: cols[0],
      down,
      across,
    };
    const [height, width] = [Math.ceil(y.count / down), Math.ceil(x.count / across)];
    const values = new Float32Array(height * width);
    if (!here || here.rows < found!.rows) for (const part of this.#beneath) fill(values, part, y, x, height, width);
    if (here) fill(values, here, y, x, height, width);
    if (here && here.rows === found!.rows) this.#keep(here);
    return { values, rows: height, cols: width, step: 1, origin: { query: y.from, key: x.from } };
  }

  /** The stretch that was asked for, while it holds what is shown; else one round it. */
  #around(y: Run, x: Run) {
    const same = this.#region?.down === y.step && this.#region.across === x.step && this.#region;
    if (same && holds(same.rows, y) && holds(same.cols, x)) return same;
    const { queries, keys } = this.pattern;
    return (this.#region = { rows: round(y, queries), cols: round(x, keys), down: y.step, across: x.step });
  }

  /** The first is of all of it; over it lies the last one. */
  #keep(part: Part): void {
    const { queries, keys } = this.pattern;
    const whole = part.rows * part.down >= queries && part.cols * part.across >= keys;
    this.#beneath = whole ? [part] : [...this.#beneath.slice(0, 1), part];
  }
}

function holds([from, to]: Stretch, run: Run): boolean {
  return from <= run.from && run.from + run.count <= to;
}

/** A stretch with a quarter of what is shown on either side. */
function round({ from, count, step }: Run, all: number): Stretch {
  const block = step * BLOCK;
  const more = count < all ? count / 4 : 0;
  return [
    Math.max(0, Math.floor((from - more) / block) * block),
    Math.min(all, Math.ceil((from + count + more) / block) * block),
  ];
}

/** The cells of a plan that a part covers, as it has them. */
function fill(values: Float32Array, part: Part, y: Run, x: Run, height: number, width: number): void {
  const column = Int32Array.from({ length: width }, (_, c) =>
    Math.floor((x.from + c * x.step - part.left) / part.across),
  );
  const first = column.findIndex((c) => c >= 0);
  const behind = column.findIndex((c) => c >= part.cols);
  const last = (behind < 0 ? width : behind) - 1;
  if (first < 0 || last < first) return;
  const alike = part.across === x.step;
  for (let r = 0; r < height; r++) {
    const row = Math.floor((y.from + r * y.step - part.top) / part.down);
    if (row < 0 || row >= part.rows) continue;
    const [from, to] = [row * part.cols, r * width];
    if (alike)
      values.set(part.values.subarray(from + column[first], from + column[last] + 1) as Float32Array, to + first);
    else for (let c = first; c <= last; c++) values[to + c] = part.values[from + column[c]];
  }
}
