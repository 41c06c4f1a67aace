/**
 * A drawn figure as SVG: text stays text, boxes become shapes, inline SVG is copied and canvases are vectors where they
 * are simple. It reads what the browser has laid out, through shadow roots, and changes nothing.
 *
 * Not drawn: images of other origins, CSS transforms other than translations, pseudo-elements other than empty boxes.
 */
import { ground, outline } from './boxes';
import { families, inlineSvg } from './inline';
import { cut, linesOf, type Line } from './lines';
import { Paints } from './paints';
import { raster } from './raster';
import { recorded } from './recorder';
import { escape, num, ownIds, tag, type Attributes } from './xml';

export interface SvgOptions {
  /** What of the window is in the picture; by default the element. */
  box?: DOMRect;
  /** Behind it all; transparent without. */
  ground?: string;
  title: string;
  /** Where the numbers come from: kept as JSON in <metadata>. */
  provenance: unknown;
  /** Of the picture on paper; the height follows. */
  width_mm?: number;
  /** The program: "mechviz 0.1.0". */
  writer: string;
}

/** The address that names what is in <metadata>; nothing is fetched from it. */
export const NAMESPACE = 'urn:mechviz:provenance';

export function svgOf(element: Element, options: SvgOptions): string {
  const box = options.box ?? element.getBoundingClientRect();
  const { width, height } = box;
  const drawing = new Drawing(element, box);
  const body = drawing.element(element, new DOMRect(0, 0, width, height));
  const drawn = ownIds(drawing.definitions() + body);
  const size = options.width_mm
    ? { width: `${num(options.width_mm)}mm`, height: `${num((options.width_mm / box.width) * box.height)}mm` }
    : { width, height };
  const fill = options.ground && drawing.paints.as('fill', options.ground);
  return tag(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      ...size,
      viewBox: `0 0 ${num(width)} ${num(height)}`,
      'xml:space': 'preserve',
      'font-family': drawing.family,
      style: 'font-variant-numeric:tabular-nums',
    },
    `${tag('title', {}, escape(options.title))}<metadata><provenance xmlns="${NAMESPACE}" writer="${escape(options.writer)}">` +
      `${escape(JSON.stringify(options.provenance))}</provenance></metadata>` +
      `${fill ? tag('rect', { width, height, ...fill }) : ''}${drawn}`,
  );
}

class Drawing {
  readonly paints = new Paints();
  readonly family: string;
  /** The same as the style sheet has it. */
  readonly #fonts: string;
  #defined: string[] = [];
  #measure = new OffscreenCanvas(1, 1).getContext('2d')!;
  #ascents = new Map<string, number>();

  constructor(
    root: Element,
    readonly origin: DOMRect,
  ) {
    this.#fonts = getComputedStyle(root).fontFamily;
    this.family = families(this.#fonts);
  }

  definitions(): string {
    return this.#defined.length ? tag('defs', {}, this.#defined.join('')) : '';
  }

  /** An element and all in it, in the order in which it is painted; what lies outside of `clip` is left out. */
  element(element: Element, clip: DOMRect): string {
    const style = getComputedStyle(element);
    if (element.hasAttribute('data-unseen') || style.display === 'none' || style.opacity === '0') return '';
    if (style.clipPath.startsWith('inset(50%')) return ''; // text to be heard only
    const seen = style.visibility === 'visible';
    const boxes = seen ? [...element.getClientRects()].map(this.#place).filter((box) => overlaps(box, clip)) : [];
    const below = boxes.map((box) => ground(style, box, this.paints, this.#define)).join('');
    const above = boxes.map((box) => outline(style, box, this.paints)).join('');
    const [before, after] = ['::before', '::after'].map((which) => this.#pseudo(element, which));
    const whole = below + before + this.#inside(element, style, boxes, clip) + after + above;
    return style.opacity === '1' || !whole ? whole : tag('g', { opacity: style.opacity }, whole);
  }

  #inside(element: Element, style: CSSStyleDeclaration, boxes: DOMRect[], clip: DOMRect): string {
    if (element instanceof SVGSVGElement) {
      const copy = () => inlineSvg(element, this.origin, { 'font-family': this.#fonts }, this.paints);
      return boxes.length ? this.#clipped(element, style, clip, copy) : '';
    }
    if (element instanceof HTMLCanvasElement) {
      return boxes.map((box) => recorded(element, box, this.paints, this.#define) ?? raster(element, box)).join('');
    }
    if (element instanceof HTMLImageElement) return boxes.map((box) => imageOf(element, box)).join('');
    if (element instanceof HTMLInputElement || element instanceof HTMLSelectElement) {
      return boxes.map((box) => this.#field(element, style, box)).join('');
    }
    return this.#clipped(element, style, clip, (inner) => this.#children(element, style, inner));
  }

  #children(element: Element, style: CSSStyleDeclaration, clip: DOMRect): string {
    const nodes = [...(element.shadowRoot ?? element).childNodes];
    // Painted last what stands in front.
    const level = (node: Node) => {
      if (!(node instanceof Element)) return 0;
      const { zIndex, position } = getComputedStyle(node);
      return zIndex === 'auto' ? (position === 'static' ? 0 : 0.5) : Number(zIndex) || 0.5;
    };
    const ends = style.textOverflow === 'ellipsis' && element.scrollWidth > element.clientWidth;
    return nodes
      .map((node, order) => ({ node, order, level: level(node) }))
      .sort((a, b) => a.level - b.level || a.order - b.order)
      .map(({ node }) => {
        if (node instanceof Text) return style.visibility === 'visible' ? this.#text(node, style, clip, ends) : '';
        return node instanceof Element ? this.element(node, clip) : '';
      })
      .join('');
  }

  /** What an element lets out of itself; `draw` is given the part of the window that can be seen. */
  #clipped(element: Element, style: CSSStyleDeclaration, clip: DOMRect, draw: (clip: DOMRect) => string): string {
    if (style.overflowX === 'visible' && style.overflowY === 'visible') return draw(clip);
    const box = this.#place(element.getBoundingClientRect());
    const inner = intersection(box, clip);
    const content = inner.width && inner.height ? draw(inner) : '';
    const over = element.scrollWidth > element.clientWidth || element.scrollHeight > element.clientHeight;
    if (!content || (!over && !(element instanceof SVGElement))) return content;
    const { x, y, width, height } = box;
    const id = this.#define((id) => tag('clipPath', { id }, tag('rect', { x, y, width, height })));
    return tag('g', { 'clip-path': `url(#${id})` }, content);
  }

  #text(node: Text, style: CSSStyleDeclaration, clip: DOMRect, ends: boolean): string {
    const widthOf = (text: string) => this.#width(text, style);
    return linesOf(node, style)
      .map(({ text, box }) => ({ text, box: this.#place(box) }))
      .map((line) => (ends ? cut(line, clip.right, widthOf) : line))
      .filter((line) => line !== undefined && overlaps(line.box, clip))
      .map((line) => this.#line(line!, style))
      .join('');
  }

  #line({ text, box }: Line, style: CSSStyleDeclaration): string {
    const paint = this.paints.as('fill', style.color);
    if (paint.fill === 'none') return '';
    const rtl = style.direction === 'rtl';
    const family = families(style.fontFamily);
    const line = style.textDecorationLine;
    const said: Attributes = {
      x: rtl ? box.right : box.left,
      y: box.top + this.#ascent(style),
      // Where the fonts are others it still fits what it stands on.
      textLength: text.length > 1 ? box.width : undefined,
      lengthAdjust: text.length > 1 ? 'spacingAndGlyphs' : undefined,
      direction: rtl ? 'rtl' : undefined,
      'font-family': family === this.family ? undefined : family,
      'font-size': style.fontSize.replace('px', ''),
      'font-weight': style.fontWeight === '400' ? undefined : style.fontWeight,
      'font-style': style.fontStyle === 'normal' ? undefined : style.fontStyle,
      'letter-spacing': style.letterSpacing === 'normal' ? undefined : style.letterSpacing.replace('px', ''),
      'text-decoration': line === 'none' ? undefined : line,
    };
    return tag('text', { ...said, ...paint }, escape(text));
  }

  #field(element: HTMLInputElement | HTMLSelectElement, style: CSSStyleDeclaration, box: DOMRect): string {
    const text = element instanceof HTMLSelectElement ? element.selectedOptions[0]?.text : element.value;
    if (!text || ['checkbox', 'radio', 'range', 'color', 'file'].includes(element.type)) return '';
    const ascent = this.#ascent(style);
    const height = ascent * 1.25;
    const left = box.left + parseFloat(style.borderLeftWidth) + parseFloat(style.paddingLeft);
    const place = new DOMRect(left, box.top + (box.height - height) / 2, this.#width(text, style), height);
    return this.#line({ text, box: place }, style);
  }

  /** An empty box that a style sheet puts into an element: a notch, a mark. */
  #pseudo(element: Element, which: string): string {
    const style = getComputedStyle(element, which);
    if (style.content !== '""' || style.position !== 'absolute') return '';
    const parent = this.#place(element.getBoundingClientRect());
    const [left, top, width, height] = [style.left, style.top, style.width, style.height].map(parseFloat);
    const fill = this.paints.as('fill', style.backgroundColor);
    if (fill.fill === 'none' || [left, top, width, height].some(Number.isNaN)) return '';
    return tag('rect', { x: parent.left + left, y: parent.top + top, width, height, ...fill });
  }

  /** From the top of a line's box to its base line. */
  #ascent(style: CSSStyleDeclaration): number {
    const font = fontOf(style);
    if (!this.#ascents.has(font)) {
      this.#measure.font = font;
      // Rounded as the browser does it: to what the screen can show.
      const ascent = this.#measure.measureText('x').fontBoundingBoxAscent;
      this.#ascents.set(font, Math.round(ascent * devicePixelRatio) / devicePixelRatio);
    }
    return this.#ascents.get(font)!;
  }

  #width(text: string, style: CSSStyleDeclaration): number {
    this.#measure.font = fontOf(style);
    return this.#measure.measureText(text).width;
  }

  /** From the window to the picture. */
  #place = (box: DOMRect): DOMRect => new DOMRect(box.x - this.origin.x, box.y - this.origin.y, box.width, box.height);

  #define = (make: (id: string) => string): string => {
    const id = `mv${this.#defined.length}`;
    this.#defined.push(make(id));
    return id;
  };
}

function fontOf(style: CSSStyleDeclaration): string {
  return `${style.fontStyle} ${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
}

function imageOf(image: HTMLImageElement, box: DOMRect): string {
  if (!image.complete || !image.naturalWidth) return '';
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  canvas.getContext('2d')!.drawImage(image, 0, 0);
  return raster(canvas, box);
}

function overlaps(box: DOMRect, clip: DOMRect): boolean {
  return box.right >= clip.left && box.left <= clip.right && box.bottom >= clip.top && box.top <= clip.bottom;
}

function intersection(a: DOMRect, b: DOMRect): DOMRect {
  const [left, top] = [Math.max(a.left, b.left), Math.max(a.top, b.top)];
  const [right, bottom] = [Math.min(a.right, b.right), Math.min(a.bottom, b.bottom)];
  return new DOMRect(left, top, Math.max(0, right - left), Math.max(0, bottom - top));
}
