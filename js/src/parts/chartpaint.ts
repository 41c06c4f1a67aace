/** The marks of a chart on a canvas: what is visible only, one style at a time, no object a point. */
import type { Numbers } from '../wire';
import { colorOf, COLORS, css, DASHES, marker, radiusOf, shaded, type Palette, type Picture } from './chartlook';
import type { Box, ChartModel, Line } from './chartmodel.svelte';
import { speckle } from './chartspeckle';

/** Beyond this many visible points they are drawn as specks, which take no time. */
export const CROWD = 2000;

/** Draws a chart again and again; keeps what can be used for the next frame. */
export class Painter {
  #speck?: ReturnType<typeof speckle>;

  draw(canvas: HTMLCanvasElement, model: ChartModel, picture: Picture): void {
    const { plot } = model;
    const [width, height] = [Math.round(plot.width * picture.ratio), Math.round(plot.height * picture.ratio)];
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const context = canvas.getContext('2d')!;
    context.setTransform(1, 0, 0, 1, 0, 0);
    if (model.data.kind === 'points' && inView(model) > CROWD) {
      this.#speck ??= speckle();
      this.#speck(context, model, picture);
      return;
    }
    context.clearRect(0, 0, width, height);
    context.setTransform(picture.ratio, 0, 0, picture.ratio, 0, 0);
    if (model.data.kind === 'points') points(context, model, picture);
    else if (model.lines) lines(context, model, picture);
    else bars(context, model, picture);
  }
}

/** How many points lie within the plot. */
export function inView(model: ChartModel): number {
  const { x, y, toX, toY, plot } = model;
  let count = 0;
  for (let i = 0; i < x.length; i++) {
    const px = toX.scale * x[i] + toX.shift;
    const py = toY.scale * y[i] + toY.shift;
    if (px >= 0 && px <= plot.width && py >= 0 && py <= plot.height) count++;
  }
  return count;
}

function points(context: CanvasRenderingContext2D, model: ChartModel, { palette, picked, ratio }: Picture): void {
  const { x, y, toX, toY, plot, data } = model;
  const r = radiusOf(inView(model));
  const shapes = Array.from({ length: COLORS + 1 }, (_, g) => new Path2D(marker(g, r)));
  context.lineWidth = 1;
  for (let i = 0; i < x.length; i++) {
    const px = toX.scale * x[i] + toX.shift;
    const py = toY.scale * y[i] + toY.shift;
    if (!(px >= -r && px <= plot.width + r && py >= -r && py <= plot.height + r)) continue;
    const group = data.group ? Math.min(COLORS, data.group[i]) : 0;
    context.setTransform(ratio, 0, 0, ratio, px * ratio, py * ratio);
    context.fillStyle = css(data.shade ? shaded(data.shade, palette, i) : colorOf(palette, group));
    // A ring of the ground keeps neighbours apart; on a scale whose zero is the ground itself, an edge.
    context.strokeStyle = data.shade ? palette.edge : palette.ground;
    context.fill(shapes[group]);
    context.stroke(shapes[group]);
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  rings(context, model, picked, r + 2.25, palette);
}

function rings(context: CanvasRenderingContext2D, model: ChartModel, picked: number[], r: number, palette: Palette) {
  const { x, y, toX, toY, plot } = model; // every reading of a reactive value costs
  context.beginPath();
  for (const i of picked) {
    const px = toX.scale * x[i] + toX.shift;
    const py = toY.scale * y[i] + toY.shift;
    if (!(px >= -r && px <= plot.width + r && py >= -r && py <= plot.height + r)) continue;
    context.moveTo(px + r, py);
    context.arc(px, py, r, 0, 2 * Math.PI);
  }
  context.lineWidth = 1.5;
  context.strokeStyle = css(palette.foreground);
  context.stroke();
}

function lines(context: CanvasRenderingContext2D, model: ChartModel, { palette, picked }: Picture): void {
  const { steps, lineCount, plot, toX, toY } = model;
  const shown = model.stretch.x;
  const from = Math.max(0, model.firstFrom(shown[0]) - 1);
  const to = Math.min(steps, model.firstFrom(shown[1]) + 1);
  const cut = (column: Numbers, l: number) => column.subarray(l * steps + from, l * steps + to);
  const x = model.x.subarray(from, to);
  context.lineJoin = 'round';
  // Grey ones below, the first on top.
  for (let l = lineCount - 1; l >= 0; l--) {
    const color = colorOf(palette, l);
    const bold = picked.includes(l);
    if (model.low && model.high) {
      context.fillStyle = css(color, 0.16);
      context.fill(band(x, cut(model.low, l), cut(model.high, l), toX, toY, plot));
    }
    context.strokeStyle = bold ? css(palette.foreground) : css(color);
    const path = curve(x, cut(model.y, l), toX, toY);
    if (bold) {
      context.lineWidth = 4.5;
      context.setLineDash([]);
      context.stroke(path);
      context.strokeStyle = css(color);
    }
    context.lineWidth = l < COLORS ? 1.75 : 1;
    context.setLineDash(DASHES[l] ?? []);
    context.stroke(path);
  }
  context.setLineDash([]);
}

/** A line with at most four points a pixel column: the first, the smallest, the largest and the last, so no peak is lost. */
export function curve(x: Numbers, y: Numbers, toX: Line, toY: Line): Path2D {
  const path = new Path2D();
  let [column, pen] = [NaN, false];
  let [first, low, high, last] = [0, 0, 0, 0];
  let lastX = 0;
  /** A point between gaps, which becomes a dot. */
  let alone: [number, number] | undefined;
  const gap = () => {
    if (alone) {
      path.moveTo(alone[0] + 1.25, alone[1]);
      path.arc(...alone, 1.25, 0, 2 * Math.PI);
    }
    [pen, alone] = [false, undefined];
  };
  const flush = () => {
    if (Number.isNaN(column)) return;
    if (pen) path.lineTo(column, first);
    else path.moveTo(column, first);
    if (low !== high) {
      path.lineTo(column, low);
      path.lineTo(column, high);
      path.lineTo(column, last);
    }
    alone = !pen && low === high ? [column, first] : undefined;
    pen = true;
    column = NaN;
  };
  for (let i = 0; i < x.length; i++) {
    const py = toY.scale * y[i] + toY.shift;
    const px = toX.scale * x[i] + toX.shift;
    if (!Number.isFinite(py) || !Number.isFinite(px)) {
      flush();
      gap();
      continue;
    }
    if (Number.isNaN(column) || px - lastX >= 1) {
      flush();
      [column, lastX, first, low, high, last] = [px, px, py, py, py, py];
      continue;
    }
    if (py < low) low = py;
    if (py > high) high = py;
    last = py;
  }
  flush();
  gap();
  return path;
}

/** The ground between two lines, by pixel column its whole reach; open where either end is no number. */
function band(x: Numbers, low: Numbers, high: Numbers, toX: Line, toY: Line, plot: Box): Path2D {
  const path = new Path2D();
  const run: [px: number, top: number, bottom: number][] = [];
  const close = () => {
    if (run.length === 1) run.push([run[0][0] + 0.5, run[0][1], run[0][2]]);
    run.forEach(([px, top], k) => (k ? path.lineTo(px, top) : path.moveTo(px, top)));
    for (const [px, , bottom] of run.reverse()) path.lineTo(px, bottom);
    if (run.length) path.closePath();
    run.length = 0;
  };
  for (let i = 0; i < x.length; i++) {
    const px = toX.scale * x[i] + toX.shift;
    // Far outside lies −∞ of a logarithmic axis too.
    const [a, b] = [low[i], high[i]].map((v) => (v === -Infinity ? plot.height * 2 : toY.scale * v + toY.shift));
    if (Number.isNaN(a) || Number.isNaN(b) || Number.isNaN(px)) {
      close();
      continue;
    }
    const before = run[run.length - 1];
    if (before && px - before[0] < 1) {
      before[1] = Math.min(before[1], a, b);
      before[2] = Math.max(before[2], a, b);
    } else run.push([px, Math.min(a, b), Math.max(a, b)]);
  }
  close();
  return path;
}

function bars(context: CanvasRenderingContext2D, model: ChartModel, { palette, picked }: Picture): void {
  const { flat, low, high } = model;
  const [along, value] = flat ? [model.toY, model.toX] : [model.toX, model.toY];
  const column = flat ? model.x : model.y;
  const thick = thicknessOf(model);
  const fill = (at: number, length: number, width: number) =>
    flat
      ? context.fillRect(value.shift, at - width / 2, length, width)
      : context.fillRect(at - width / 2, value.shift, width, length);
  const [from, to] = model.stretch[model.base];
  const first = Math.max(0, Math.ceil(from - 0.5));
  const last = Math.min(model.count - 1, Math.floor(to + 0.5));
  for (const sign of [1, -1]) {
    context.fillStyle = css(sign > 0 ? palette.more : palette.less);
    // Narrower than a pixel they lie upon each other: a column of pixels reaches as far as the longest of them.
    let [pixel, longest] = [NaN, 0];
    for (let i = first; i <= last; i++) {
      const length = value.scale * column[i];
      if (!(column[i] * sign > 0) || !Number.isFinite(length)) continue;
      const at = along.scale * i + along.shift;
      if (thick > 1) {
        fill(at, length, thick);
        continue;
      }
      if (Math.floor(at) !== pixel) {
        if (longest) fill(pixel + 0.5, longest, 1);
        [pixel, longest] = [Math.floor(at), 0];
      }
      if (Math.abs(length) > Math.abs(longest)) longest = length;
    }
    if (longest) fill(pixel + 0.5, longest, 1);
  }
  context.strokeStyle = css(palette.foreground);
  context.lineWidth = 1;
  if (low && high && thick > 2) {
    context.beginPath();
    for (let i = first; i <= last; i++) whisker(context, flat, along.scale * i + along.shift, value, low[i], high[i]);
    context.stroke();
  }
  context.lineWidth = 1.5;
  for (const i of picked) {
    if (i < first || i > last || !Number.isFinite(column[i])) continue;
    const { x, y, width, height } = barOf(model, i);
    context.strokeRect(x - 2.5, y - 2.5, width + 5, height + 5);
  }
}

function whisker(context: CanvasRenderingContext2D, flat: boolean, at: number, value: Line, low: number, high: number) {
  const ends = [value.scale * low + value.shift, value.scale * high + value.shift];
  if (!ends.every(Number.isFinite)) return;
  const line = (...[a, b, c, d]: [number, number, number, number]) => {
    context.moveTo(...(flat ? ([b, a] as const) : ([a, b] as const)));
    context.lineTo(...(flat ? ([d, c] as const) : ([c, d] as const)));
  };
  for (const end of ends) line(at - 3, end, at + 3, end);
  line(at, ends[0], at, ends[1]);
}

function thicknessOf({ flat, toX, toY }: ChartModel): number {
  const pitch = Math.abs(flat ? toY.scale : toX.scale);
  return pitch >= 4 ? Math.min(flat ? 14 : 28, pitch * 0.72) : Math.max(1, pitch);
}

/** Where a bar lies, CSS pixels of the plot. */
export function barOf(model: ChartModel, i: number): { x: number; y: number; width: number; height: number } {
  const { x, y } = model.at(i);
  const thick = thicknessOf(model);
  if (model.flat) {
    const zero = model.toX.shift;
    return { x: Math.min(x, zero), y: y - thick / 2, width: Math.abs(x - zero), height: thick };
  }
  const zero = model.toY.shift;
  return { x: x - thick / 2, y: Math.min(y, zero), width: thick, height: Math.abs(y - zero) };
}
