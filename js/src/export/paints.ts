/** CSS colours and gradients as SVG paints. */
import { tag, type Attributes } from './xml';

export interface Paint {
  /** "#rrggbb" */
  color: string;
  /** 0 … 1 */
  opacity: number;
}

/** Any colour that CSS knows, read back from a pixel: SVG programs know hex and little more. */
export class Paints {
  #known = new Map<string, Paint | undefined>();
  #pixel = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true })!;

  /** Undefined for what cannot be seen. */
  of(css: string): Paint | undefined {
    if (!this.#known.has(css)) this.#known.set(css, this.#read(css));
    return this.#known.get(css);
  }

  /** The attributes of a fill or a stroke. */
  as(name: 'fill' | 'stroke' | 'stop-color', css: string): Attributes {
    const paint = this.of(css);
    if (!paint)
      return { [name]: name === 'stop-color' ? '#000' : 'none', ...(name === 'stop-color' && { 'stop-opacity': 0 }) };
    const opacity = name === 'stop-color' ? 'stop-opacity' : `${name}-opacity`;
    return { [name]: paint.color, [opacity]: paint.opacity < 1 ? paint.opacity : undefined };
  }

  #read(css: string): Paint | undefined {
    if (css === 'transparent' || css === 'none' || css === '') return undefined;
    const context = this.#pixel;
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = '#000';
    context.fillStyle = css;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    if (!a) return undefined;
    const hex = [r, g, b].map((c) => c.toString(16).padStart(2, '0')).join('');
    return { color: `#${hex}`, opacity: Math.round((a / 255) * 1000) / 1000 };
  }
}

/** Parts of a list, split where no bracket is open: the layers of a shadow, the stops of a gradient. */
export function split(list: string, separator: RegExp = /,/): string[] {
  const parts = [''];
  let depth = 0;
  for (const c of list) {
    depth += Number(c === '(') - Number(c === ')');
    if (depth === 0 && separator.test(c)) parts.push('');
    else parts[parts.length - 1] += c;
  }
  return parts.map((part) => part.trim()).filter(Boolean);
}

/**
 * A linear gradient of CSS over a box, as the definition of an SVG paint; undefined for other images. Repeating ones
 * (hatches) have their lengths in pixels.
 */
export function gradient(css: string, id: string, box: DOMRect, paints: Paints): string | undefined {
  const found = /^(repeating-)?linear-gradient\((.*)\)$/s.exec(css);
  if (!found) return undefined;
  const parts = split(found[2]);
  const angle = angleOf(parts[0]);
  if (angle !== undefined) parts.shift();
  const [dx, dy] = [Math.sin(angle ?? Math.PI), -Math.cos(angle ?? Math.PI)];
  const length = Math.abs(box.width * dx) + Math.abs(box.height * dy);
  const [cx, cy] = [box.x + box.width / 2, box.y + box.height / 2];
  const stops = parts.flatMap((part) => {
    const [color, ...places] = split(part, /\s/);
    return places.length ? places.map((place) => ({ color, at: lengthOf(place, length) })) : [{ color, at: NaN }];
  });
  fillIn(stops, length);
  const end = found[1] ? stops[stops.length - 1].at : length;
  const from = { x: cx - (dx * length) / 2, y: cy - (dy * length) / 2 };
  const marks = stops.map((stop) =>
    tag('stop', { offset: String(stop.at / end), ...paints.as('stop-color', stop.color) }),
  );
  return tag(
    'linearGradient',
    {
      id,
      gradientUnits: 'userSpaceOnUse',
      spreadMethod: found[1] ? 'repeat' : undefined,
      x1: from.x,
      y1: from.y,
      x2: from.x + dx * end,
      y2: from.y + dy * end,
    },
    marks.join(''),
  );
}

/** "45deg" or "to right" in radians, clockwise from upwards; undefined where the first part is a colour. */
function angleOf(part: string): number | undefined {
  const sides: Record<string, number> = { 'to top': 0, 'to right': 90, 'to bottom': 180, 'to left': 270 };
  const degrees = part in sides ? sides[part] : /^(-?[\d.]+)deg$/.exec(part)?.[1];
  return degrees === undefined ? undefined : (Number(degrees) * Math.PI) / 180;
}

function lengthOf(place: string, whole: number): number {
  return place.endsWith('%') ? (parseFloat(place) / 100) * whole : parseFloat(place);
}

/** Stops without a place stand evenly between their neighbours. */
function fillIn(stops: { at: number }[], length: number): void {
  if (Number.isNaN(stops[0].at)) stops[0].at = 0;
  if (Number.isNaN(stops[stops.length - 1].at)) stops[stops.length - 1].at = length;
  let last = 0;
  for (let i = 1; i < stops.length; i++) {
    if (Number.isNaN(stops[i].at)) continue;
    const step = (stops[i].at - stops[last].at) / (i - last);
    for (let k = last + 1; k < i; k++) stops[k].at = stops[last].at + (k - last) * step;
    last = i;
  }
}
