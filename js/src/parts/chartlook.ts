/** How the marks of a chart look: colours, dashes and markers by group. No DOM but for reading the tokens. */
import { indexAt, lut, parseColor, type Lut, type Rgb } from '../color';
import { position, type Scale } from '../scale';
import type { Numbers } from '../wire';

/** Groups and lines that have a colour of their own; later ones are grey. */
export const COLORS = 5;
export const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3], [14, 4]];
export interface Palette {
  categories: Rgb[];
  grey: Rgb;
  foreground: Rgb;
  more: Rgb;
  less: Rgb;
  ground: string;
  edge: string;
  shade?: Lut;
}

/** Colours as the theme of `host` has them. */
export function paletteFor(host: Element, scale?: Scale): Palette {
  const style = getComputedStyle(host);
  const of = (name: string) => style.getPropertyValue(`--mv-${name}`);
  const rgb = (name: string): Rgb => parseColor(of(name)) ?? [128, 128, 128];
  return {
    categories: Array.from({ length: COLORS }, (_, i) => rgb(`cat-${i + 1}`)),
    grey: rgb('line2'),
    foreground: rgb('fg'),
    more: rgb('ink-5'),
    less: rgb('ember-5'),
    ground: of('ground'),
    edge: of('line2'),
    shade: scale && lut(host, scale.ramp),
  };
}

export function colorOf(palette: Palette, group: number): Rgb {
  return palette.categories[group] ?? palette.grey;
}

/** A marker of its own for each of five groups, as an SVG path about the origin. */
export function marker(group: number, r: number): string {
  const disc = `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`;
  const [s, t, d, w] = [r * 0.89, r * 1.2, r * 1.25, r * 0.42];
  const shapes = [
    disc,
    `M${-s} ${-s}h${2 * s}v${2 * s}h${-2 * s}z`,
    `M0 ${-t}L${t} ${t * 0.8}H${-t}z`,
    `M0 ${-d}L${d} 0L0 ${d}L${-d} 0z`,
    `M${-w} ${-t}h${2 * w}v${t - w}h${t - w}v${2 * w}h${-(t - w)}v${t - w}h${-2 * w}v${-(t - w)}h${-(t - w)}v${-2 * w}h${t - w}z`,
  ];
  return shapes[group] ?? disc;
}

/** Radius of a marker: smaller where there are many. */
export function radiusOf(visible: number): number {
  return visible <= 150 ? 4 : visible <= 600 ? 3.25 : 2.5;
}

export interface Picture {
  palette: Palette;
  ratio: number;
  /** Points, bars or lines that are selected, by index. */
  picked: number[];
}

export function shaded(shade: { values: Numbers; scale: Scale }, palette: Palette, i: number): Rgb {
  const value = shade.values[i];
  return Number.isNaN(value) ? palette.grey : palette.shade!.rgb[indexAt(position(shade.scale, value))];
}

export function css([r, g, b]: Rgb, alpha = 1): string {
  return `rgb(${r} ${g} ${b} / ${alpha})`;
}
