/**
 * A canvas that remembers what is painted on it, as SVG: charts are vectors in files. What it does not know (pixels,
 * other pictures) throws, and the canvas is then an image.
 */
import type { Define } from './boxes';
import type { Paints } from './paints';
import { num, tag, type Attributes } from './xml';

/** A canvas whose drawing can be done again, on another one. */
export interface Repaintable extends HTMLCanvasElement {
  repaint?(canvas: HTMLCanvasElement): void;
}

/** More shapes than this are an image. */
const MOST = 5000;

/** What was painted on a canvas, over this box; undefined where that cannot be told, or is too much. */
export function recorded(canvas: Repaintable, box: DOMRect, paints: Paints, define: Define): string | undefined {
  if (!canvas.repaint || !canvas.width || !canvas.height) return undefined;
  const recorder = new Recorder(box, [box.width / canvas.width, box.height / canvas.height], paints);
  const { width, height } = canvas;
  const stand = { width, height, getContext: () => recorder } as unknown as HTMLCanvasElement;
  // Nobody can ask a path what it is: while this is painted there are others.
  const paths = globalThis.Path2D;
  globalThis.Path2D = RecordedPath as unknown as typeof Path2D;
  try {
    canvas.repaint(stand);
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) return undefined; // not a method of ours; too much
    throw error;
  } finally {
    globalThis.Path2D = paths;
  }
  const { x, y, width: w, height: h } = box;
  const id = define((id) => tag('clipPath', { id }, tag('rect', { x, y, width: w, height: h })));
  return tag('g', { 'clip-path': `url(#${id})` }, recorder.shapes());
}

/** A path that keeps what it is made of. */
class RecordedPath {
  d: string;

  constructor(d: string | RecordedPath = '') {
    this.d = typeof d === 'string' ? d : d.d;
  }

  moveTo(x: number, y: number): void {
    this.d += `M${num(x)} ${num(y)}`;
  }

  lineTo(x: number, y: number): void {
    this.d += `${this.d ? 'L' : 'M'}${num(x)} ${num(y)}`;
  }

  rect(x: number, y: number, width: number, height: number): void {
    this.d += `M${num(x)} ${num(y)}h${num(width)}v${num(height)}h${num(-width)}z`;
  }

  arc(x: number, y: number, r: number, from: number, to: number): void {
    const at = (angle: number) => `${num(x + r * Math.cos(angle))} ${num(y + r * Math.sin(angle))}`;
    this.d += `${this.d ? 'L' : 'M'}${at(from)}`;
    // SVG has no arc that ends where it begins.
    const half = from + Math.sign(to - from) * Math.min(Math.abs(to - from) / 2, Math.PI);
    const end = from + Math.sign(to - from) * Math.min(Math.abs(to - from), 2 * Math.PI);
    for (const next of [half, end]) this.d += `A${num(r)} ${num(r)} 0 0 ${to > from ? 1 : 0} ${at(next)}`;
  }

  closePath(): void {
    this.d += 'z';
  }
}

interface Shape {
  d: string;
  transform: string | undefined;
  fill?: Attributes;
  stroke?: Attributes;
}

/** The part of a canvas' context that charts paint with. */
class Recorder {
  fillStyle = '#000';
  strokeStyle = '#000';
  lineWidth = 1;
  lineJoin = 'miter';
  lineCap = 'butt';
  #shapes: Shape[] = [];
  #path = new RecordedPath();
  #dash: number[] = [];
  #transform: string | undefined;

  constructor(
    readonly box: DOMRect,
    readonly scale: [number, number],
    readonly paints: Paints,
  ) {
    this.setTransform(1, 0, 0, 1, 0, 0);
  }

  setTransform(a: number, b: number, c: number, d: number, e: number, f: number): void {
    if (b || c) throw new RangeError('turned');
    const [sx, sy] = this.scale;
    const place = `${num(e * sx + this.box.x)} ${num(f * sy + this.box.y)}`;
    const still = Math.abs(a * sx - 1) < 1e-3 && Math.abs(d * sy - 1) < 1e-3;
    this.#transform = still ? `translate(${place})` : `translate(${place}) scale(${a * sx} ${d * sy})`;
  }

  setLineDash(dash: number[]): void {
    this.#dash = dash;
  }

  clearRect(): void {
    this.#shapes = [];
  }

  beginPath(): void {
    this.#path = new RecordedPath();
  }

  moveTo(x: number, y: number): void {
    this.#path.moveTo(x, y);
  }

  lineTo(x: number, y: number): void {
    this.#path.lineTo(x, y);
  }

  arc(x: number, y: number, r: number, from: number, to: number): void {
    this.#path.arc(x, y, r, from, to);
  }

  fillRect(x: number, y: number, width: number, height: number): void {
    const path = new RecordedPath();
    path.rect(x, y, width, height);
    this.fill(path);
  }

  strokeRect(x: number, y: number, width: number, height: number): void {
    const path = new RecordedPath();
    path.rect(x, y, width, height);
    this.stroke(path);
  }

  fill(path = this.#path): void {
    this.#add({ d: path.d, transform: this.#transform, fill: this.paints.as('fill', this.fillStyle) });
  }

  stroke(path = this.#path): void {
    const stroke: Attributes = {
      ...this.paints.as('stroke', this.strokeStyle),
      'stroke-width': this.lineWidth,
      'stroke-linejoin': this.lineJoin === 'miter' ? undefined : this.lineJoin,
      'stroke-linecap': this.lineCap === 'butt' ? undefined : this.lineCap,
      'stroke-dasharray': this.#dash.length ? this.#dash.map(num).join(' ') : undefined,
    };
    const last = this.#shapes.at(-1);
    // Filled and edged: one shape.
    if (last && !last.stroke && last.d === path.d && last.transform === this.#transform) last.stroke = stroke;
    else this.#add({ d: path.d, transform: this.#transform, stroke });
  }

  #add(shape: Shape): void {
    if (!shape.d) return;
    if (this.#shapes.push(shape) > MOST) throw new RangeError('too much');
  }

  shapes(): string {
    return this.#shapes
      .map(({ d, transform, fill, stroke }) => tag('path', { d, transform, fill: 'none', ...fill, ...stroke }))
      .join('');
  }
}
