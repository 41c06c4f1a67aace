/** Which points of a chart are named on the drawing, and where: never over another name or another point. */

export interface Label {
  i: number;
  x: number;
  y: number;
  anchor: 'start' | 'middle' | 'end';
  text: string;
}

interface Mark {
  i: number;
  x: number;
  y: number;
}

const CHARACTER = 6.2;
const TALL = 11;

/**
 * Names for some of the marks: first those in `wanted`, then up to `most` of the others, the furthest from the middle
 * of all first. A name that finds no free place is left out.
 */
export function placeLabels(
  marks: Mark[],
  nameOf: (i: number) => string,
  box: { width: number; height: number },
  radius: number,
  wanted: number[],
  most: number,
): Label[] {
  const first = new Set(wanted);
  const far = distances(marks);
  const order = marks
    .map((mark, k) => ({ mark, far: first.has(mark.i) ? Infinity : far[k] }))
    .sort((a, b) => b.far - a.far)
    .slice(0, wanted.length + most);
  const labels: Label[] = [];
  const taken: Rect[] = [];
  for (const { mark } of order) {
    const text = nameOf(mark.i);
    for (const label of places(mark, text, radius + 4)) {
      const rect = rectOf(label);
      const inside = rect.left >= 0 && rect.right <= box.width && rect.top >= 0 && rect.bottom <= box.height;
      if (!inside || taken.some((other) => overlaps(rect, other))) continue;
      if (marks.some((other) => other.i !== mark.i && covers(rect, other, radius))) continue;
      labels.push(label);
      taken.push(rect);
      break;
    }
  }
  return labels;
}

/**
 * Names at the ends of lines. The `first` of them are moved apart, as far as there is room; the others stand where they
 * belong, or nowhere.
 */
export function placeEnds(ends: { i: number; y: number }[], height: number, apart: number, first: number) {
  const count = Math.min(first, Math.max(1, Math.floor(height / apart)));
  const kept = ends.slice(0, count).sort((a, b) => a.y - b.y);
  const y = kept.map((end) => end.y);
  for (let k = 1; k < y.length; k++) y[k] = Math.max(y[k], y[k - 1] + apart);
  for (let k = y.length - 1, limit = height; k >= 0 && y[k] > limit; k--, limit -= apart) y[k] = limit;
  const places = new Map(kept.map((end, k) => [end.i, y[k]]));
  for (const end of ends.slice(count)) {
    if ([...places.values()].every((taken) => Math.abs(taken - end.y) >= apart)) places.set(end.i, end.y);
  }
  return places;
}

/** How far each mark is from the middle of all, in units of their spread. */
function distances(marks: Mark[]): number[] {
  const spread = (value: (mark: Mark) => number) => {
    const mean = marks.reduce((sum, mark) => sum + value(mark), 0) / marks.length;
    const deviation = Math.sqrt(marks.reduce((sum, mark) => sum + (value(mark) - mean) ** 2, 0) / marks.length) || 1;
    return marks.map((mark) => (value(mark) - mean) / deviation);
  };
  const [x, y] = [spread((mark) => mark.x), spread((mark) => mark.y)];
  return x.map((dx, k) => Math.hypot(dx, y[k]));
}

interface Rect {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

function places({ i, x, y }: Mark, text: string, away: number): Label[] {
  return [
    { i, x: x + away, y: y + 3.5, anchor: 'start', text },
    { i, x: x - away, y: y + 3.5, anchor: 'end', text },
    { i, x, y: y - away, anchor: 'middle', text },
    { i, x, y: y + away + TALL - 3, anchor: 'middle', text },
  ];
}

function rectOf({ x, y, anchor, text }: Label): Rect {
  const width = text.length * CHARACTER;
  const left = anchor === 'start' ? x : anchor === 'end' ? x - width : x - width / 2;
  return { left, right: left + width, top: y - TALL + 2, bottom: y + 3 };
}

function overlaps(a: Rect, b: Rect): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

function covers(rect: Rect, { x, y }: Mark, radius: number): boolean {
  return x > rect.left - radius && x < rect.right + radius && y > rect.top - radius && y < rect.bottom + radius;
}
