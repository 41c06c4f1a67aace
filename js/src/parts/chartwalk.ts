/** Where the keys lead among the points of a chart. */
import type { Numbers } from '../wire';
import type { ChartModel, Direction } from './chartmodel.svelte';

/** Points in the order of a column, and the place of each in it. */
interface Order {
  own: Numbers;
  other: Numbers;
  order: Uint32Array;
  rank: Uint32Array;
}

export class Walk {
  #model: ChartModel;
  #orders: Partial<Record<Direction, Order>> = {};

  constructor(model: ChartModel) {
    this.#model = model;
  }

  /** The point that a key leads to: points by their x or y, lines along x and up to the next, bars in their order. */
  next(from: number | undefined, key: string): number | undefined {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: 1, ArrowDown: -1, Home: -Infinity, End: Infinity }[key];
    if (by === undefined || !this.#model.count) return undefined;
    const sideways = key !== 'ArrowUp' && key !== 'ArrowDown';
    if (this.#model.data.kind === 'points') return this.#along(sideways ? 'x' : 'y', from, by);
    if (this.#model.bars)
      return clamp((from ?? (by < 0 ? this.#model.count : -1)) + (sideways ? by : -by), this.#model.count);
    const [l, step] =
      from === undefined
        ? [0, by < 0 ? this.#model.steps : -1]
        : [Math.floor(from / this.#model.steps), from % this.#model.steps];
    return sideways
      ? this.#stepBy(l, step, by)
      : this.#nextLine(l, Math.max(0, Math.min(this.#model.steps - 1, step)), by);
  }

  #along(direction: Direction, from: number | undefined, by: number): number | undefined {
    const { order, rank } = this.#order(direction);
    if (!order.length) return undefined;
    return order[clamp((from === undefined ? (by < 0 ? order.length : -1) : rank[from]) + by, order.length)];
  }

  #order(direction: Direction): Order {
    const { x, y } = this.#model;
    const [own, other] = direction === 'x' ? [x, y] : [y, x];
    const known = this.#orders[direction];
    if (known && known.own === own && known.other === other) return known;
    const order = Uint32Array.from(own.keys())
      .filter((i) => Number.isFinite(own[i]) && Number.isFinite(other[i]))
      .sort((a, b) => own[a] - own[b] || other[a] - other[b] || a - b);
    const rank = new Uint32Array(own.length);
    order.forEach((i, k) => (rank[i] = k));
    return (this.#orders[direction] = { own, other, order, rank });
  }

  /** Along a line, over what cannot be drawn. */
  #stepBy(l: number, from: number, by: number): number | undefined {
    const direction = by < 0 ? -1 : 1;
    const goal = clamp(from + by, this.#model.steps);
    for (let step = goal; step >= 0 && step < this.#model.steps; step += Number.isFinite(by) ? direction : -direction) {
      if (this.#model.drawable(l * this.#model.steps + step)) return l * this.#model.steps + step;
    }
    return undefined;
  }

  #nextLine(l: number, step: number, by: number): number | undefined {
    const here = this.#model.y[l * this.#model.steps + step];
    let best: number | undefined;
    for (let other = 0; other < this.#model.lineCount; other++) {
      const away = (this.#model.y[other * this.#model.steps + step] - here) * by;
      if (away > 0 && (best === undefined || away < (this.#model.y[best] - here) * by))
        best = other * this.#model.steps + step;
    }
    return best;
  }
}

function clamp(i: number, count: number): number {
  return Math.max(0, Math.min(count - 1, i));
}
