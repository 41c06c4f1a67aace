/** Colour ramps, read from the design tokens of the host (tokens.css): one place for the values. */

export type Ramp = 'ink' | 'ember' | 'signed';
export type Rgb = [number, number, number];

/** 256 colours from the low to the high end of a scale. */
export interface Lut {
  /** Packed ABGR, as ImageData wants it. */
  packed: Uint32Array;
  rgb: Rgb[];
}

const STEPS = 256;

/** The ramp as the theme of `host` has it; linear in sRGB between its nine stops. `signed` is ember reversed + ink. */
export function lut(host: Element, ramp: Ramp): Lut {
  const style = getComputedStyle(host);
  const arm = (name: string) =>
    Array.from({ length: 9 }, (_, i) => parseHex(style.getPropertyValue(`--mv-${name}-${i}`)));
  const stops = ramp === 'signed' ? [...arm('ember').reverse(), ...arm('ink').slice(1)] : arm(ramp);
  const rgb = Array.from({ length: STEPS }, (_, i) => between(stops, (i / (STEPS - 1)) * (stops.length - 1)));
  return { rgb, packed: Uint32Array.from(rgb, ([r, g, b]) => (255 << 24) | (b << 16) | (g << 8) | r) };
}

/** The colour at `t` in 0 … 1 (clamped). */
export function colorAt(table: Lut, t: number): Rgb {
  return table.rgb[indexAt(t)];
}

export function indexAt(t: number): number {
  return t <= 0 ? 0 : t >= 1 ? STEPS - 1 : Math.round(t * (STEPS - 1));
}

export function css([r, g, b]: Rgb): string {
  return `rgb(${r} ${g} ${b})`;
}

/** Text on a fill: the foreground while it has 7:1, else whichever of black and white reads better (>= 4.58:1). */
export function textOn(fill: Rgb, foreground: Rgb): Rgb {
  if (contrast(fill, foreground) >= 7) return foreground;
  return contrast(fill, [0, 0, 0]) >= contrast(fill, [255, 255, 255]) ? [0, 0, 0] : [255, 255, 255];
}

/** WCAG 2 contrast ratio. */
export function contrast(a: Rgb, b: Rgb): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

export function luminance(color: Rgb): number {
  const [r, g, b] = color.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** "#rrggbb", "rgb(r g b)" or "rgb(r, g, b)" -> numbers; null for what lets more through than it has of its own. */
export function parseColor(text: string): Rgb | null {
  const value = text.trim();
  if (value.startsWith('#')) return parseHex(value);
  const parts = value.match(/[\d.]+/g)?.map(Number);
  if (!value.startsWith('rgb') || !parts || parts.length < 3 || parts[3] < 0.5) return null;
  return [parts[0], parts[1], parts[2]];
}

function parseHex(text: string): Rgb {
  const hex = text.trim().slice(1);
  const full = hex.length === 3 ? [...hex].map((c) => c + c).join('') : hex;
  return [0, 2, 4].map((i) => parseInt(full.slice(i, i + 2), 16)) as Rgb;
}

function between(stops: Rgb[], at: number): Rgb {
  const i = Math.min(Math.floor(at), stops.length - 2);
  return stops[i].map((c, k) => Math.round(c + (stops[i + 1][k] - c) * (at - i))) as Rgb;
}
