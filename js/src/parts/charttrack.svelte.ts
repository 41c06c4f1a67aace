/** What the points of a chart stand for, and how they are one with the figure's selection and hover. */
import type { Figure, Hover } from '../figure.svelte';
import type { Axis, Change, Selection } from '../selection';
import type { NdArray } from '../wire';

/** As Python sends it: an index for each point on each axis of the selection; −1 where it has none there. */
export interface PointsJson {
  /** "head", "token", "step": what one of them is called. */
  noun: string;
  axes: Partial<Record<Axis, NdArray>>;
  /** A name for each; where it is null, the name follows from the axes ("L5H1"). */
  labels: string[] | null;
}

const HOVERS: Partial<Record<Axis, keyof Hover>> = {
  layers: 'layer',
  heads: 'head',
  queries: 'query',
  keys: 'key',
  positions: 'position',
  neurons: 'neuron',
  features: 'feature',
  step: 'step',
};

export class Track {
  #figure: () => Figure;
  #given: () => PointsJson | undefined;
  #count: () => number;
  /** What was picked here, for as long as the selection is the one that this made. */
  #mine = $state.raw<{ selection?: Selection; picked: number[] }>({ picked: [] });
  #pointed: { hover?: Hover; i?: number } = {};

  axes = $derived.by(() => Object.entries(this.#given()?.axes ?? {}) as [Axis, NdArray][]);
  /** Selected points. Without anything that they stand for, they are picked in this chart alone. */
  picked = $derived.by((): number[] => {
    const { selection } = this.#figure();
    const count = this.#count();
    if (!this.axes.length || this.#mine.selection === selection) return this.#mine.picked.filter((i) => i < count);
    return matches(this.axes, selection, count);
  });
  /** The point that is pointed at, here or in another view. */
  hovered = $derived.by((): number | undefined => {
    const { hover } = this.#figure();
    if (this.#pointed.hover === hover) return this.#pointed.i;
    const wanted = this.axes.map(([axis, column]) => [hover[HOVERS[axis]!], column.data] as const);
    if (!wanted.length || wanted.some(([index]) => index === undefined)) return undefined;
    for (let i = 0; i < this.#count(); i++) if (wanted.every(([index, column]) => column[i] === index)) return i;
    return undefined;
  });

  constructor(figure: () => Figure, given: () => PointsJson | undefined, count: () => number) {
    this.#figure = figure;
    this.#given = given;
    this.#count = count;
  }

  /** What a change of the selection is about here; undefined where it is about other things alone. */
  about(change: Change): number | undefined {
    const asked = this.axes.filter(([axis]) => change[axis]?.length);
    return asked.length ? matches(asked, change as Selection, this.#count())[0] : undefined;
  }

  name(i: number): string {
    return nameOf(this.#given(), i);
  }

  /** What the figure's hover is while this point is pointed at. */
  hoverOf(i: number): Hover {
    const found: Hover = {};
    for (const [axis, column] of this.axes) {
      const key = HOVERS[axis];
      if (key && column.data[i] >= 0) found[key] = column.data[i];
    }
    return found;
  }

  /** Remember which point a hover is of: several may share what they stand for. */
  pointed(hover: Hover, i: number | undefined): void {
    this.#pointed = { hover, i };
  }

  /** What picking these points changes in the selection: one entry a point on every axis. */
  changeTo(indices: number[]): Change {
    const change: Change = {};
    for (const [axis, column] of this.axes) {
      change[axis] = indices.map((i) => column.data[i]).filter((index) => index >= 0);
    }
    return change;
  }

  /** Called once the figure has the selection that `changeTo` made. */
  own(selection: Selection, picked: number[]): void {
    this.#mine = { selection, picked };
  }
}

/** "L5H1", "·Mary", "step 12". */
export function nameOf(points: PointsJson | undefined, i: number): string {
  return points?.labels ? points.labels[i] : (siteOf(points, i) ?? `${points?.noun ?? 'point'} ${i}`);
}

/** "L5H1", "L3N17"; undefined where points are neither heads nor neurons. */
export function siteOf(points: PointsJson | undefined, i: number): string | undefined {
  const { layers, heads, neurons } = points?.axes ?? {};
  const unit = heads ? `H${heads.data[i]}` : neurons ? `N${neurons.data[i]}` : undefined;
  return unit && layers && `L${layers.data[i]}${unit}`;
}

/**
 * Points that a selection names. Lists of one length go together (`layers` [0, 2] with `heads` [1, 3] is L0H1 and L2H3);
 * of others every combination counts, and an axis on which nothing is picked says nothing.
 */
export function matches(axes: [Axis, NdArray][], selection: Selection, count: number): number[] {
  const asked = axes.filter(([axis]) => selection[axis].length);
  if (!asked.length) return [];
  const lengths = new Set(asked.map(([axis]) => selection[axis].length));
  const together = lengths.size === 1;
  const wanted = asked.map(([axis]) => new Set(selection[axis]));
  const key = (indices: number[]) => indices.reduce((sum, index) => sum * 2 ** 25 + index, 0);
  const pairs = new Set(selection[asked[0][0]].map((_, k) => key(asked.map(([axis]) => selection[axis][k]))));
  const found: number[] = [];
  for (let i = 0; i < count; i++) {
    if (!asked.every(([, column], a) => wanted[a].has(column.data[i]))) continue;
    if (!together || pairs.has(key(asked.map(([, column]) => column.data[i])))) found.push(i);
  }
  return found;
}
