/** Canvases: one of few flat rectangles (a heat map of some tokens) as vectors, any other as an image. */
import { num, tag } from './xml';

/** More rectangles than this are an image: it is smaller, and without hairlines between cells. */
const MOST = 1000;

export function raster(canvas: HTMLCanvasElement, box: DOMRect): string {
  if (!canvas.width || !canvas.height || !box.width || !box.height) return '';
  const found = rectangles(canvas);
  if (!found) {
    return tag('image', {
      x: box.x,
      y: box.y,
      width: box.width,
      height: box.height,
      preserveAspectRatio: 'none',
      href: canvas.toDataURL('image/png'),
    });
  }
  const [sx, sy] = [box.width / canvas.width, box.height / canvas.height];
  const paths = [...found].map(([color, list]) => {
    const d = list.map(([x, y, w, h]) => {
      const width = num(w * sx);
      return `M${num(box.x + x * sx)} ${num(box.y + y * sy)}h${width}v${num(h * sy)}h-${width}z`;
    });
    return tag('path', { fill: hex(color), d: d.join('') });
  });
  return paths.length ? tag('g', { 'shape-rendering': 'crispEdges' }, paths.join('')) : '';
}

type Rectangle = [x: number, y: number, width: number, height: number];

/** The opaque rectangles that a canvas is made of, by colour (ABGR); undefined where there are many, or translucent. */
function rectangles(canvas: HTMLCanvasElement): Map<number, Rectangle[]> | undefined {
  const context = canvas.getContext('2d');
  if (!context) return undefined;
  const { width, height } = canvas;
  const pixels = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
  const found = new Map<number, Rectangle[]>();
  let count = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const color = pixels[y * width + x];
      if (!color) continue; // nothing, or taken
      if (color >>> 24 !== 255 || ++count > MOST) return undefined;
      const [w, h] = extent(pixels, width, height, x, y);
      for (let row = y; row < y + h; row++) pixels.fill(0, row * width + x, row * width + x + w);
      if (!found.has(color)) found.set(color, []);
      found.get(color)!.push([x, y, w, h]);
    }
  }
  return found;
}

/** How far one colour reaches to the right, and as wide as that downwards. */
function extent(pixels: Uint32Array, width: number, height: number, x: number, y: number): [number, number] {
  const color = pixels[y * width + x];
  let right = x + 1;
  while (right < width && pixels[y * width + right] === color) right++;
  let bottom = y + 1;
  const same = (row: number) => {
    for (let i = x; i < right; i++) if (pixels[row * width + i] !== color) return false;
    return true;
  };
  while (bottom < height && same(bottom)) bottom++;
  return [right - x, bottom - y];
}

function hex(abgr: number): string {
  return `#${[0, 8, 16].map((shift) => ((abgr >>> shift) & 255).toString(16).padStart(2, '0')).join('')}`;
}
