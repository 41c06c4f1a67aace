/** What a chart shows and where: its columns, the stretches of its axes, and how pixels and points find each other. */
import { fixed, general } from '../number';
import type { Scale } from '../scale';
import type { Numbers } from '../wire';
import {
  extentOf,
  joined,
  moved,
  place,
  placed,
  roomy,
  ticksOf,
  zoomed,
  type AxisJson,
  type Stretch,
  type Tick,
} from './chartaxis';
import { PointGrid } from './chartgrid';

/** One layer of marks as columns; a point is an index. Of lines, index = line · steps + step. */
export interface ChartData {
  kind: 'points' | 'lines' | 'bars';
  /** Points: one each. Lines: of the steps, ascending, shared by all lines. Bars: 0, 1, 2 … */
  x: Numbers;
  /** Points and bars: one each. Lines: [line, step]. */
  y: Numbers;
  /** Ends of an error band or whisker, like `y`. */
  low?: Numbers;
  high?: Numbers;
  axes: { x: AxisJson; y: AxisJson };
  /** Bars that lie, one below the other. */
  horizontal?: boolean;
  /** Group of each point, and the names of groups (points) or of lines. */
  group?: Numbers;
  groups?: string[];
  /** Colours of points by value. */
  shade?: { values: Numbers; scale: Scale };
  /** Names of points, drawn beside some of them; names of bars. */
  names?: string[];
}

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** Pixels of a coordinate in units of its axis: `scale · value + shift`. */
export interface Line {
  scale: number;
  shift: number;
}

export type Direction = 'x' | 'y';
export type Logs = Record<Direction, boolean>;

const TOP = 24;
const FOOT = 36;
const CHARACTER = 5.9;
/** Names at the ends of lines are cut here. */
export const LONGEST = 24;

export class ChartModel {
  width = $state(0);
  #given: () => ChartData;
  #shown = $state.raw<Partial<Record<Direction, Stretch>>>({});

  data = $derived.by(() => this.#given());
  // One by one: what the reader has chosen stays while Python sends new numbers for the same axes.
  #logX = $derived(this.data.axes.x.log);
  #logY = $derived(this.data.axes.y.log);
  logs = $derived<Logs>({ x: this.#logX, y: this.#logY });

  bars = $derived(this.data.kind === 'bars');
  lines = $derived(this.data.kind === 'lines');
  flat = $derived(this.bars && this.data.horizontal === true);
  /** The axis that bars stand on. */
  base: Direction = $derived(this.flat ? 'y' : 'x');
  steps = $derived(this.data.x.length);
  lineCount = $derived(this.lines ? Math.max(1, this.data.y.length / Math.max(1, this.steps)) : 1);
  count = $derived(this.data.y.length);

  /** Columns in units of the axes, as they lie on the screen. */
  x = $derived(placed(this.flat ? this.data.y : this.data.x, this.logs.x));
  y = $derived(placed(this.flat ? this.data.x : this.data.y, this.logs.y));
  low = $derived(this.data.low && placed(this.data.low, this.#logOf(this.flat ? 'x' : 'y')));
  high = $derived(this.data.high && placed(this.data.high, this.#logOf(this.flat ? 'x' : 'y')));

  /** Axes that can be logarithmic at all: bars say their value by their length, from zero. */
  loggable = $derived.by((): Logs => {
    if (this.bars) return { x: false, y: false };
    const positive = (values: Numbers) => values.some((value) => value > 0 && value < Infinity);
    return { x: positive(this.data.x), y: positive(this.data.y) };
  });

  #home = $derived.by((): Record<Direction, Stretch> => {
    const home = (direction: Direction): Stretch => {
      const { limits } = this.data.axes[direction];
      if (limits) {
        const [from, to] = limits.map((end) => place(end, this.#logOf(direction)));
        if (from < to) return [from, to];
      }
      return this.#whole[direction];
    };
    return { x: home('x'), y: home('y') };
  });
  /** All of the data. */
  #whole = $derived.by((): Record<Direction, Stretch> => {
    if (!this.bars) {
      const y = extentOf(this.y, this.low, this.high);
      return { x: roomy(extentOf(this.x), this.lines ? 0 : 0.04), y: roomy(y, 0.06) };
    }
    const [from, to] = extentOf(this.flat ? this.x : this.y, this.low, this.high, new Float64Array(1)) ?? [0, 1];
    const room = (to - from || 1) * 0.06;
    const value: Stretch = [from < 0 ? from - room : 0, to > 0 || from === to ? to + room : 0];
    const base: Stretch = [-0.5, Math.max(1, this.count) - 0.5];
    return this.flat ? { x: value, y: base } : { x: base, y: value };
  });
  /** Everything that can be panned to. */
  all = $derived({ x: joined(this.#home.x, this.#whole.x), y: joined(this.#home.y, this.#whole.y) });
  /** What is shown. Lines are zoomed along x, and y follows what is seen of them. */
  stretch = $derived.by((): Record<Direction, Stretch> => {
    const x = this.#shown.x ?? this.#home.x;
    if (!this.lines) return { x, y: this.#shown.y ?? this.#home.y };
    return { x, y: this.#shown.x && !this.data.axes.y.limits ? this.#seen(x) : this.#home.y };
  });
  isZoomed = $derived(this.#shown.x !== undefined || this.#shown.y !== undefined);
  zoomable = $derived<Logs>(this.bars ? { x: !this.flat, y: this.flat } : { x: true, y: this.data.kind === 'points' });

  // --- where things stand
  height = $derived.by(() => {
    const width = Math.max(1, this.width);
    if (this.flat) return TOP - 16 + FOOT + Math.max(3, Math.min(40, this.count)) * 20;
    const share = this.data.kind === 'points' ? 0.68 : 0.42;
    return Math.round(Math.max(240, Math.min(this.data.kind === 'points' ? 460 : 340, width * share)));
  });
  /** Steps that are whole numbers have no ticks between them. */
  #apart = $derived(this.data.x.every(Number.isInteger) ? 1 : 0);
  ticks = $derived.by((): Record<Direction, Tick[]> => {
    const along = (direction: Direction, room: number, each: number): Tick[] =>
      this.bars && direction === this.base
        ? []
        : ticksOf(
            this.stretch[direction],
            this.#logOf(direction),
            Math.max(2, Math.floor(room / each)),
            this.lines && direction === 'x' ? this.#apart : 0,
          );
    return { x: along('x', Math.max(1, this.width - 60), 84), y: along('y', this.height - FOOT - TOP, 44) };
  });
  plot = $derived.by((): Box => {
    const longest = (texts: string[]) => texts.reduce((most, text) => Math.max(most, text.length), 0);
    const names = this.flat ? Math.min(28, longest(this.data.names ?? [])) * 6 : 0;
    const left = Math.ceil(Math.max(names, longest(this.ticks.y.map((tick) => tick.text)) * CHARACTER) + 10);
    const right =
      this.lines && (this.data.groups?.length ?? 0) > 1
        ? 33 + Math.min(LONGEST, longest(this.data.groups!)) * 5.9
        : this.flat
          ? 56
          : 16;
    const top = this.flat ? TOP - 16 : TOP;
    const width = Math.max(40, this.width - left - Math.min(right, this.width * 0.3));
    return { left, top, width, height: this.height - top - FOOT };
  });
  /** From units of the axes to CSS pixels within the plot. */
  toX: Line = $derived(line(this.stretch.x, 0, this.plot.width));
  toY: Line = $derived(
    this.flat ? line(this.stretch.y, 0, this.plot.height) : line(this.stretch.y, this.plot.height, 0),
  );

  #decimals = $derived.by((): number | undefined => {
    const [low, high] = extentOf(this.data.y) ?? [0, 0];
    const power = Math.floor(Math.log10(Math.max(-low, high)));
    return power >= -4 && power < 6 ? Math.max(0, 2 - power) : undefined;
  });

  // --- from a place to a point and back
  #grid = $derived.by(() => (this.data.kind === 'points' ? new PointGrid(this.x, this.y) : undefined));

  constructor(given: () => ChartData) {
    this.#given = given;
  }

  #logOf(direction: Direction): boolean {
    return this.logs[direction];
  }

  /** Where a point is, CSS pixels within the plot; NaN where it cannot be drawn. */
  at(i: number): { x: number; y: number } {
    const x = this.lines ? this.x[i % this.steps] : this.x[i];
    return { x: this.toX.scale * x + this.toX.shift, y: this.toY.scale * this.y[i] + this.toY.shift };
  }

  /** The value of a bar, beside it: three digits of the largest, and as many decimals for all. */
  valueText(i: number): string {
    return this.#decimals === undefined ? general(this.data.y[i]) : fixed(this.data.y[i], this.#decimals);
  }

  drawable(i: number): boolean {
    const { x, y } = this.at(i);
    return Number.isFinite(x) && Number.isFinite(y);
  }

  inside(i: number): boolean {
    const { x, y } = this.at(i);
    return x >= -0.5 && x <= this.plot.width + 0.5 && y >= -0.5 && y <= this.plot.height + 0.5;
  }

  /** The point that the pointer is on, `reach` CSS pixels around it; of lines and bars the nearest, however far. */
  pointAt(x: number, y: number, reach: number): number | undefined {
    const [ux, uy] = [(x - this.toX.shift) / this.toX.scale, (y - this.toY.shift) / this.toY.scale];
    if (this.bars) {
      const i = Math.round(this.flat ? uy : ux);
      return i >= 0 && i < this.count ? i : undefined;
    }
    if (this.lines) return this.#lineAt(this.stepAt(ux), y);
    return this.#grid!.nearest(ux, uy, Math.abs(reach / this.toX.scale), Math.abs(reach / this.toY.scale));
  }

  /** Points within a rectangle of the plot, CSS pixels; of lines steps, of bars all in the stretch. */
  pointsIn(x0: number, x1: number, y0: number, y1: number): number[] {
    const unit = ({ scale, shift }: Line, a: number, b: number) =>
      [(a - shift) / scale, (b - shift) / scale].sort((p, q) => p - q) as [number, number];
    const [x, y] = [unit(this.toX, x0, x1), unit(this.toY, y0, y1)];
    if (this.data.kind === 'points') return this.#grid!.within(...x, ...y);
    const [from, to] = this.base === 'x' ? x : y;
    const inside: number[] = [];
    const column = this.bars ? undefined : this.x;
    for (let i = 0; i < (column ? this.steps : this.count); i++) {
      const at = column ? column[i] : i;
      if (at >= from && at <= to) inside.push(i);
    }
    return inside;
  }

  /** The step nearest to a place on the x axis. */
  stepAt(ux: number): number {
    const after = this.firstFrom(ux);
    if (after === 0) return 0;
    if (after >= this.steps) return this.steps - 1;
    return ux - this.x[after - 1] < this.x[after] - ux ? after - 1 : after;
  }

  /** Index of the first step at or behind a place; what has no place on a logarithmic axis comes first. */
  firstFrom(ux: number): number {
    let [low, high] = [0, this.steps];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.x[middle] >= ux) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #lineAt(step: number, y: number): number | undefined {
    let [best, found] = [Infinity, undefined as number | undefined];
    for (let l = 0; l < this.lineCount; l++) {
      const i = l * this.steps + step;
      const away = Math.abs(this.toY.scale * this.y[i] + this.toY.shift - y);
      if (away < best) [best, found] = [away, i];
    }
    return found;
  }

  #seen(x: Stretch): Stretch {
    const [from, to] = [Math.max(0, this.firstFrom(x[0]) - 1), Math.min(this.steps, this.firstFrom(x[1]) + 1)];
    const parts: Numbers[] = [];
    for (let l = 0; l < this.lineCount; l++) {
      for (const column of [this.y, this.low, this.high]) {
        if (column) parts.push(column.subarray(l * this.steps + from, l * this.steps + to));
      }
    }
    const extent = extentOf(...parts);
    return extent ? roomy(extent, 0.06) : this.#home.y;
  }

  // --- zoom
  /** Zoom about a place of the plot (CSS pixels); its middle where none is given. */
  zoom(factor: number, at?: { x: number; y: number }): void {
    this.#show((direction) => {
      const { scale, shift } = direction === 'x' ? this.toX : this.toY;
      const middle = (direction === 'x' ? this.plot.width : this.plot.height) / 2;
      return zoomed(
        this.stretch[direction],
        factor,
        ((at?.[direction] ?? middle) - shift) / scale,
        this.all[direction],
      );
    });
  }

  /** Move what is shown by CSS pixels. */
  pan(by: { x: number; y: number }): void {
    this.#show((direction) => {
      const { scale } = direction === 'x' ? this.toX : this.toY;
      return moved(this.stretch[direction], -by[direction] / scale, this.all[direction]);
    });
  }

  /** Show a rectangle, CSS pixels of the plot. */
  zoomTo(x: Stretch, y: Stretch): void {
    this.#show((direction) => {
      const { scale, shift } = direction === 'x' ? this.toX : this.toY;
      const ends = (direction === 'x' ? x : y).map((end) => (end - shift) / scale).sort((a, b) => a - b);
      const wanted: Stretch = [ends[0], ends[1]];
      return zoomed(wanted, 1.0001, (ends[0] + ends[1]) / 2, this.all[direction]);
    });
  }

  /** Move so that a point can be seen. */
  follow(i: number): void {
    const { x, y } = this.at(i);
    const off = (value: number, size: number) =>
      value < 0 ? -value + size / 4 : value > size ? -(value - size) - size / 4 : 0;
    const by = { x: off(x, this.plot.width), y: off(y, this.plot.height) };
    if (this.isZoomed && (by.x || by.y)) this.pan(by);
  }

  reset(): void {
    this.#shown = {};
  }

  toggleLog(direction: Direction): void {
    if (!this.loggable[direction]) return;
    this.#shown = { ...this.#shown, [direction]: undefined };
    this.logs = { ...this.logs, [direction]: !this.logs[direction] };
  }

  #show(next: (direction: Direction) => Stretch): void {
    const shown: Partial<Record<Direction, Stretch>> = {};
    if (this.zoomable.x) shown.x = next('x');
    if (this.zoomable.y) shown.y = next('y');
    const whole = (['x', 'y'] as const).every((d) => !shown[d] || same(shown[d], this.#home[d]));
    this.#shown = whole ? {} : shown;
  }
}

function line([from, to]: Stretch, start: number, end: number): Line {
  const scale = (end - start) / (to - from);
  return { scale, shift: start - from * scale };
}

function same(a: Stretch, b: Stretch): boolean {
  const slack = 1e-9 * (b[1] - b[0]);
  return Math.abs(a[0] - b[0]) < slack && Math.abs(a[1] - b[1]) < slack;
}
