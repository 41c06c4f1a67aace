/** SVG that stands in a page, as SVG that stands alone: what style sheets say becomes attributes. */
import { Paints } from './paints';
import { escape, num, tag, type Attributes } from './xml';

/** What children take over from their parents, with what holds where nobody says anything. */
const INHERITED: Record<string, string> = {
  'stroke-width': '1px',
  'stroke-linecap': 'butt',
  'stroke-linejoin': 'miter',
  'stroke-dasharray': 'none',
  'text-anchor': 'start',
  'font-family': '',
  'font-size': '',
  'font-weight': '400',
  'font-style': 'normal',
  'letter-spacing': 'normal',
  'dominant-baseline': 'auto',
  direction: 'ltr',
  'paint-order': 'normal',
  'shape-rendering': 'auto',
  'fill-rule': 'nonzero',
};
const OWN: Record<string, string> = {
  opacity: '1',
  'unicode-bidi': 'normal',
  'mix-blend-mode': 'normal',
  'vector-effect': 'none',
};
/** As SVG spells what style sheets give back in small letters. */
const NAMES: Record<string, string> = {
  crispedges: 'crispEdges',
  geometricprecision: 'geometricPrecision',
  optimizespeed: 'optimizeSpeed',
};
const KEPT =
  /^(id|x|y|x1|x2|y1|y2|dx|dy|cx|cy|r|rx|ry|d|points|width|height|transform|viewBox|preserveAspectRatio|offset|gradientUnits|gradientTransform|spreadMethod|clip-path|mask|filter|href|xlink:href|textLength|lengthAdjust|rotate|marker-\w+|markerWidth|markerHeight|refX|refY|orient|patternUnits|patternTransform|clipPathUnits|startOffset)$/;
const SKIPPED = new Set(['style', 'script', 'title', 'desc', 'metadata', 'foreignObject', 'animate', 'set']);

/** What holds where an element is put, by property; children of it say only what differs. */
export type Inherited = Record<string, string>;

export function inlineSvg(svg: SVGSVGElement, origin: DOMRect, inherited: Inherited, paints: Paints): string {
  const place = svg.getScreenCTM();
  if (!place) return '';
  const { a, b, c, d } = place;
  const [e, f] = [place.e - origin.x, place.f - origin.y];
  const still = a === 1 && b === 0 && c === 0 && d === 1;
  const transform = still ? `translate(${num(e)} ${num(f)})` : `matrix(${[a, b, c, d].join(' ')} ${num(e)} ${num(f)})`;
  // What stands on the <svg> itself holds for all of it; its own size and place are in the matrix.
  const style = getComputedStyle(svg);
  const { attributes, own } = said(style, { ...INHERITED, ...inherited }, paints);
  return tag('g', { transform, ...attributes }, childrenOf(svg, own, paints));
}

function childrenOf(element: Element, inherited: Inherited, paints: Paints): string {
  return [...element.childNodes]
    .map((node) => {
      if (node instanceof Text) return isText(element) ? textOf(node, element) : '';
      return node instanceof SVGElement ? copied(node, inherited, paints) : '';
    })
    .join('');
}

function copied(element: SVGElement, inherited: Inherited, paints: Paints): string {
  const name = element.localName;
  const style = getComputedStyle(element);
  if (SKIPPED.has(name) || style.display === 'none' || style.visibility === 'hidden') return '';
  const kept: Attributes = {};
  for (const { name, value } of element.attributes)
    if (KEPT.test(name)) kept[name] = name === 'offset' ? value : rounded(value);
  const { attributes, own } = said(style, inherited, paints);
  if (name === 'stop') Object.assign(attributes, paints.as('stop-color', style.stopColor));
  return tag(name, { ...kept, ...attributes }, childrenOf(element, own, paints));
}

/** Attributes for what a style says differently, and what its children take over. */
function said(
  style: CSSStyleDeclaration,
  inherited: Inherited,
  paints: Paints,
): { attributes: Attributes; own: Inherited } {
  const attributes: Attributes = {};
  const own = { ...inherited };
  for (const paint of ['fill', 'stroke'] as const) {
    const value = style.getPropertyValue(paint);
    const opacity = style.getPropertyValue(`${paint}-opacity`);
    const key = `${value} ${opacity}`;
    if (key === (inherited[paint] ?? (paint === 'fill' ? 'rgb(0, 0, 0) 1' : 'none 1'))) continue;
    own[paint] = key;
    if (value.startsWith('url(')) attributes[paint] = value.replace(/^url\("?[^#"]*(#[^")]*)"?\).*/, 'url($1)');
    else Object.assign(attributes, { [`${paint}-opacity`]: undefined }, paints.as(paint, value));
    if (opacity !== '1') attributes[`${paint}-opacity`] = Number(opacity) * Number(attributes[`${paint}-opacity`] ?? 1);
  }
  for (const property of Object.keys(INHERITED)) {
    const value = style.getPropertyValue(property);
    if (value === (inherited[property] ?? INHERITED[property])) continue;
    own[property] = value;
    if (property === 'font-family') attributes[property] = families(value);
    else attributes[property] = NAMES[value] ?? value.replace(/px\b/g, '').replaceAll('"', "'");
  }
  for (const [property, usual] of Object.entries(OWN)) {
    const value = style.getPropertyValue(property);
    if (value && value !== usual) attributes[property] = value;
  }
  return { attributes, own };
}

/** Long fractions of coordinates are cut. */
function rounded(value: string): string {
  return value.replace(/-?\d+\.\d{3,}(?![\d.]*e)/g, (number) => num(Number(number)));
}

function isText(element: Element): boolean {
  return element instanceof SVGTextContentElement;
}

function textOf(node: Text, parent: Element): string {
  const kept = getComputedStyle(parent).whiteSpace.startsWith('pre');
  return escape(kept ? node.data : node.data.replace(/\s+/g, ' '));
}

/** Without what only a browser understands. */
export function families(css: string): string {
  const names = css.split(',').map((name) => name.trim());
  return names
    .filter((name) => !/^(-apple-system|BlinkMacSystemFont)$/.test(name))
    .join(', ')
    .replaceAll('"', "'");
}
