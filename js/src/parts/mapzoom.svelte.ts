/** The part of a map that is shown: all of it, or fewer rows and columns in the same room. */
import type { Cell } from '../pattern/pattern';
import { framed, openedOn, READABLE, revealing, zoomed, zoomedAt, type Plan, type Viewport } from './heatmap';

export class MapZoom {
  #whole: () => Plan;
  #view = $state.raw<Viewport>();
  /** Where everything stands. */
  plan = $derived.by((): Plan => {
    const whole = this.#whole();
    return this.#view ? zoomed(whole, this.#view, whole.to.query, whole.to.key) : whole;
  });
  #scale = $derived.by(() => this.#view?.scale ?? this.#whole().cell / this.#whole().step);

  constructor(whole: () => Plan) {
    this.#whole = whole;
  }

  /** A part is shown, and not the whole. */
  get on(): boolean {
    return this.#view !== undefined;
  }

  /** As another map begins. */
  open(cell: Partial<Cell>): void {
    this.#view = openedOn(this.#whole(), cell);
  }

  reset(): void {
    this.#view = undefined;
  }

  /** Show less (`factor` above 1) or more; what is under a point stays there. */
  by(factor: number, x: number, y: number): void {
    this.#view = zoomedAt(this.#whole(), this.plan, this.#scale * factor, x, y);
  }

  /** Begin at a weight. */
  at({ query, key }: Cell): void {
    this.#view = { scale: this.#scale, query, key };
  }

  /** Bring a cell into sight. */
  reveal(cell: Partial<Cell>): void {
    if (this.#view) this.#view = revealing(this.plan, this.#view, cell);
  }

  /** Bring a token into sight so that it can be read. */
  goTo(position: number): void {
    const from = position - (this.#whole().height / READABLE) * 0.75;
    if (this.#view && this.plan.cell / this.plan.step >= 12) this.reveal({ query: position, key: position });
    else this.#view = { scale: READABLE, query: from, key: from };
  }

  /** Show what is between two corners, in pixels; not where that is hardly less than what is shown. */
  frame([x0, y0]: readonly [number, number], [x1, y1]: readonly [number, number]): void {
    const { cell, step, top, left, from } = this.plan;
    const to = (pixels: number, start: number) => start + (pixels / cell) * step;
    const found = framed(
      this.#whole(),
      [to(y0 - top, from.query), to(y1 - top, from.query)],
      [to(x0 - left, from.key), to(x1 - left, from.key)],
    );
    if (found.scale > this.#scale * 1.01) this.#view = found;
  }
}
