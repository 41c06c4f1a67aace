/** The part of a matrix that is shown: all of it, or fewer rows and columns in the same box. */
import { within, type Plan, type Run, type Spot } from './matrix';

/** From, to, in rows or columns; between two of them while it moves. */
type Stretch = readonly [number, number];
interface Place {
  x: number;
  y: number;
}

/** Of the size that cells may have with room for it: from the first on they need not grow, and none does beyond the second. */
const [LARGE, LARGEST] = [7 / 9, 4 / 3];

export class MatrixZoom {
  #all: () => Plan;
  #rows = $state.raw<Stretch>();
  #columns = $state.raw<Stretch>();

  /** Where everything stands. */
  plan = $derived.by((): Plan => {
    const all = this.#all();
    if (!this.on) return all;
    const [x, y] = [within(all.x, this.#of(all.x, this.#columns)), within(all.y, this.#of(all.y, this.#rows))];
    return { ...all, x, y, gap: Math.min(x.cell, y.cell) >= 6 ? 1 : 0 };
  });

  constructor(all: () => Plan) {
    this.#all = all;
  }

  get on(): boolean {
    return this.#rows !== undefined || this.#columns !== undefined;
  }

  /** Show less (`factor` below 1) or more, about a place in the box; its middle where none is given. */
  by(factor: number, at?: Place): void {
    const { x, y } = this.#all();
    this.#columns = this.#scaled(x, this.#columns, factor, (at?.x ?? x.size / 2) / x.size);
    this.#rows = this.#scaled(y, this.#rows, factor, (at?.y ?? y.size / 2) / y.size);
  }

  /** Move what is shown by CSS pixels. */
  pan(by: Place): void {
    const { x, y } = this.#all();
    this.#columns = this.#moved(x, this.#columns, by.x);
    this.#rows = this.#moved(y, this.#rows, by.y);
  }

  /** Move it so far that a cell is seen. */
  follow({ row, column }: Spot): void {
    const { x, y } = this.#all();
    this.#columns = reached(this.#columns, column, x);
    this.#rows = reached(this.#rows, row, y);
  }

  reset(): void {
    [this.#rows, this.#columns] = [undefined, undefined];
  }

  /** Of another matrix than it was made for, what there is. */
  #of({ count }: Run, stretch: Stretch | undefined): Stretch {
    return stretch && stretch[1] <= count ? stretch : [0, count];
  }

  #scaled(run: Run, stretch: Stretch | undefined, factor: number, at: number): Stretch | undefined {
    const [from, to] = this.#of(run, stretch);
    const shown = to - from;
    if (factor < 1 && run.size / shown >= LARGE * run.most) return stretch;
    const wanted = Math.max(Math.min(shown, run.size / (LARGEST * run.most)), shown * factor);
    return wanted >= run.count ? undefined : inside(run.count, from + at * (shown - wanted), wanted);
  }

  #moved(run: Run, stretch: Stretch | undefined, by: number): Stretch | undefined {
    if (!stretch) return undefined;
    const shown = stretch[1] - stretch[0];
    return inside(run.count, stretch[0] - (by / run.size) * shown, shown);
  }
}

function inside(count: number, from: number, shown: number): Stretch {
  const start = Math.max(0, Math.min(count - shown, from));
  return [start, start + shown];
}

function reached(stretch: Stretch | undefined, i: number, { count }: Run): Stretch | undefined {
  if (!stretch) return undefined;
  const shown = stretch[1] - stretch[0];
  if (i < stretch[0]) return inside(count, i, shown);
  return i + 1 > stretch[1] ? inside(count, i + 1 - shown, shown) : stretch;
}
