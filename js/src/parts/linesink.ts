/** How lines between tokens look, and how they are painted. */
import { colorAt, parseColor, type Rgb } from '../color';
import { position } from '../scale';
import { DASHES, keyY, queryY, strokeOf, type LinesPlan, type Link } from './bipartite';
import { scaled, type Look } from './cells';

export interface Ink {
  look: Look;
  /** The largest weight of each query, where rows have their own scale. */
  maxima?: ArrayLike<number>;
  /** Of heads side by side, one each. */
  colours?: Rgb[];
}

/** The colours of heads side by side, as the theme of `host` has them. */
export function headColours(host: Element, otherwise: Rgb): Rgb[] {
  const style = getComputedStyle(host);
  return DASHES.map((_, i) => parseColor(style.getPropertyValue(`--mv-cat-${i + 1}`)) ?? otherwise);
}

export const rgba = ([r, g, b]: Rgb, alpha = 1) => `rgb(${r} ${g} ${b} / ${alpha.toFixed(3)})`;

/** Of one head a deep step of the ramp, on the side of the sign: how much it is is told by thickness. */
export function colourOf({ look, colours }: Ink, { head, value }: Link): Rgb {
  if (colours) return colours[head % colours.length];
  return colorAt(look.palette.lut, look.scale.ramp === 'signed' ? (value < 0 ? 0.11 : 0.89) : 0.78);
}

export function dashOf({ colours }: Ink, head: number): number[] {
  return colours ? DASHES[head % DASHES.length] : [];
}

/** How far along the scale a weight is. */
export function shareOf({ look, maxima }: Ink, { value, query }: Link): number {
  const at = position(look.scale, scaled(value, look.perRow, maxima?.[query] ?? 0));
  return look.scale.ramp === 'signed' ? Math.abs(2 * at - 1) : at;
}

/** All lines on a canvas that begins where they begin; `ratio` device pixels to one of CSS. */
export function paintLinks(canvas: HTMLCanvasElement, plan: LinesPlan, links: Link[], ink: Ink, ratio: number): void {
  const context = canvas.getContext('2d')!;
  context.setTransform(ratio, 0, 0, ratio, -plan.left * ratio, -plan.top * ratio);
  context.clearRect(plan.left, plan.top, plan.right - plan.left, plan.height);
  for (const link of links) {
    const { width, alpha } = strokeOf(shareOf(ink, link), plan.pitch);
    context.lineWidth = width;
    context.strokeStyle = rgba(colourOf(ink, link), alpha);
    context.setLineDash(dashOf(ink, link.head));
    context.beginPath();
    context.moveTo(plan.left, queryY(plan, link.query));
    context.lineTo(plan.right, keyY(plan, link.key));
    context.stroke();
  }
}
