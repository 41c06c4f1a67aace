/** What CSS draws round and behind an element: ground, shadows and rings, borders, outline. */
import { gradient, Paints, split } from './paints';
import { num, tag } from './xml';

/** Where definitions (gradients, filters, clips) are kept; returns the id. */
export type Define = (make: (id: string) => string) => string;

/** Ground, shadows and borders: below the content. */
export function ground(style: CSSStyleDeclaration, box: DOMRect, paints: Paints, define: Define): string {
  const parts: string[] = [];
  for (const shadow of split(style.boxShadow === 'none' ? '' : style.boxShadow).reverse()) {
    parts.push(shadowOf(shadow, style, box, paints, define));
  }
  const d = round(box, radii(style));
  const fill = paints.as('fill', style.backgroundColor);
  if (fill.fill !== 'none') parts.push(shape(style, box, fill));
  for (const image of split(style.backgroundImage === 'none' ? '' : style.backgroundImage).reverse()) {
    if (!gradient(image, '', box, paints)) continue;
    const id = define((id) => gradient(image, id, box, paints)!);
    parts.push(tag('path', { d, fill: `url(#${id})` }));
  }
  parts.push(borders(style, box, paints));
  return parts.join('');
}

/** The ring of `outline`: above the content. */
export function outline(style: CSSStyleDeclaration, box: DOMRect, paints: Paints): string {
  const width = parseFloat(style.outlineWidth);
  if (style.outlineStyle === 'none' || !width) return '';
  const out = parseFloat(style.outlineOffset) + width / 2;
  const corners = radii(style).map((r) => (r ? Math.max(0, r + out) : 0));
  const stroke = paints.as('stroke', style.outlineColor);
  const dash = dashes(style.outlineStyle, width);
  const d = round(grown(box, out), corners);
  return tag('path', { d, fill: 'none', 'stroke-width': width, ...stroke, 'stroke-dasharray': dash });
}

/** Lengths of strokes and of the gaps between them, as browsers draw them; undefined for a line without gaps. */
function dashes(drawn: string, width: number): number | undefined {
  return { dashed: 3 * width, dotted: width }[drawn];
}

function shape(style: CSSStyleDeclaration, box: DOMRect, fill: Record<string, string | number | undefined>): string {
  const corners = radii(style);
  if (corners.some((r) => r !== corners[0])) return tag('path', { d: round(box, corners), ...fill });
  const { x, y, width, height } = box;
  const rx = Math.min(corners[0], width / 2, height / 2) || undefined;
  return tag('rect', { x, y, width, height, rx, ...fill });
}

/** A shadow lies round its box, never below it: a ring on a box without a ground stays a ring. */
function shadowOf(css: string, style: CSSStyleDeclaration, box: DOMRect, paints: Paints, define: Define): string {
  const lengths = css.replace(/\w*\([^)]*\)|#\w+/g, '').match(/-?[\d.]+px/g) ?? [];
  const [dx, dy, blur = 0, spread = 0] = lengths.map(parseFloat);
  const fill = paints.as('fill', css.replace(/-?[\d.]+px|inset/g, '').trim());
  if (fill.fill === 'none' || css.includes('inset') || (!dx && !dy && !blur && !spread)) return '';
  const cast = grown(new DOMRect(box.x + dx, box.y + dy, box.width, box.height), spread);
  const corners = radii(style);
  const grownCorners = corners.map((r) => (r || !spread ? Math.max(0, r + spread) : 0));
  const filter = blur ? `url(#${define((id) => blurred(id, blur / 2))})` : undefined;
  const d = round(cast, grownCorners) + (blur ? '' : round(box, corners));
  return tag('path', { d, 'fill-rule': 'evenodd', ...fill, filter });
}

function blurred(id: string, deviation: number): string {
  const room = { x: '-50%', y: '-50%', width: '200%', height: '200%' };
  return tag('filter', { id, ...room }, tag('feGaussianBlur', { stdDeviation: deviation }));
}

function borders(style: CSSStyleDeclaration, box: DOMRect, paints: Paints): string {
  const sides = (['Top', 'Right', 'Bottom', 'Left'] as const).map((side) => {
    const drawn = style[`border${side}Style`];
    const width = drawn === 'none' || drawn === 'hidden' ? 0 : parseFloat(style[`border${side}Width`]);
    return { width, drawn, color: style[`border${side}Color`] };
  });
  const [top, right, bottom, left] = sides;
  const line = ({ width, drawn, color }: (typeof sides)[number], d: string) => {
    const stroke = paints.as('stroke', color);
    if (!width || stroke.stroke === 'none') return '';
    return tag('path', { d, fill: 'none', 'stroke-width': width, ...stroke, 'stroke-dasharray': dashes(drawn, width) });
  };
  if (sides.every((side) => side.width === top.width && side.drawn === top.drawn && side.color === top.color)) {
    const corners = radii(style).map((r) => Math.max(0, r - top.width / 2));
    return line(top, round(grown(box, -top.width / 2), corners));
  }
  const [l, t, r, b] = [box.left, box.top, box.right, box.bottom].map(num);
  return [
    line(top, `M${l} ${num(box.top + top.width / 2)}H${r}`),
    line(right, `M${num(box.right - right.width / 2)} ${t}V${b}`),
    line(bottom, `M${l} ${num(box.bottom - bottom.width / 2)}H${r}`),
    line(left, `M${num(box.left + left.width / 2)} ${t}V${b}`),
  ].join('');
}

/** Of the corners, clockwise from the top left; an ellipse is taken for a circle. */
function radii(style: CSSStyleDeclaration): number[] {
  return [
    style.borderTopLeftRadius,
    style.borderTopRightRadius,
    style.borderBottomRightRadius,
    style.borderBottomLeftRadius,
  ].map((radius) => parseFloat(radius) || 0);
}

export function grown(box: DOMRect, by: number): DOMRect {
  return new DOMRect(box.x - by, box.y - by, Math.max(0, box.width + 2 * by), Math.max(0, box.height + 2 * by));
}

/** The outline of a box with rounded corners. */
function round(box: DOMRect, corners: number[]): string {
  const most = Math.min(box.width, box.height) / 2;
  const [a, b, c, d] = corners.map((r) => Math.min(r, most));
  const { left, top, right, bottom } = box;
  const arc = (r: number, dx: number, dy: number) => (r ? `a${num(r)} ${num(r)} 0 0 1 ${num(dx)} ${num(dy)}` : '');
  return (
    `M${num(left + a)} ${num(top)}H${num(right - b)}${arc(b, b, b)}V${num(bottom - c)}${arc(c, -c, c)}` +
    `H${num(left + d)}${arc(d, -d, -d)}V${num(top + a)}${arc(a, a, -a)}z`
  );
}
