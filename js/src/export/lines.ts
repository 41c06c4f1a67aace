/** Where the lines of a text node stand, and what stands on each. */

export interface Line {
  text: string;
  box: DOMRect;
}

/** The lines as they are laid out; spaces at their ends, which nobody sees, left out. */
export function linesOf(node: Text, style: CSSStyleDeclaration): Line[] {
  const { data } = node;
  const first = data.search(/\S/);
  if (first < 0) return [];
  const last = data.trimEnd().length;
  const range = document.createRange();
  range.setStart(node, first);
  range.setEnd(node, last);
  const boxes = [...range.getClientRects()].filter((box) => box.width > 0);
  if (!boxes.length) return [];
  const kept = style.whiteSpace.startsWith('pre');
  const clean = (text: string) => shaped(kept ? text.replace(/[\t\n\r]/g, ' ') : text.replace(/\s+/g, ' '), style);
  if (boxes.length === 1) return [{ text: clean(data.slice(first, last)), box: boxes[0] }];
  return broken(data.slice(first, last), (from, to) => {
    range.setStart(node, first + from);
    range.setEnd(node, first + to);
    return [...range.getClientRects()].filter((box) => box.width > 0).at(-1);
  })
    .map(({ text, box }) => ({ text: clean(text.trimEnd()), box }))
    .filter(({ text }) => text.trim());
}

/** A text of several lines, character by character: a new one begins where the next is not beside the last. */
function broken(text: string, at: (from: number, to: number) => DOMRect | undefined): Line[] {
  const lines: Line[] = [];
  for (const { segment, index } of new Intl.Segmenter().segment(text)) {
    const box = at(index, index + segment.length);
    const line = lines.at(-1);
    if (!box) continue;
    if (line && Math.abs(box.top - line.box.top) < box.height / 2 && touches(line.box, box)) {
      line.text += segment;
      line.box = union(line.box, box);
    } else if (segment.trim()) lines.push({ text: segment, box });
  }
  return lines;
}

function touches(a: DOMRect, b: DOMRect): boolean {
  return b.left <= a.right + 1 && b.right >= a.left - 1;
}

function union(a: DOMRect, b: DOMRect): DOMRect {
  const [left, top] = [Math.min(a.left, b.left), Math.min(a.top, b.top)];
  return new DOMRect(left, top, Math.max(a.right, b.right) - left, Math.max(a.bottom, b.bottom) - top);
}

function shaped(text: string, style: CSSStyleDeclaration): string {
  if (style.textTransform === 'uppercase') return text.toUpperCase();
  return style.textTransform === 'lowercase' ? text.toLowerCase() : text;
}

/** As much of a line as ends before `right`, with an ellipsis behind it; undefined where nothing is left. */
export function cut(line: Line, right: number, widthOf: (text: string) => number): Line | undefined {
  if (line.box.right <= right + 0.5) return line;
  const room = right - line.box.left - widthOf('…');
  let text = '';
  for (const { segment } of new Intl.Segmenter().segment(line.text)) {
    if (widthOf(text + segment) > room) break;
    text += segment;
  }
  if (room <= 0) return undefined;
  text = `${text.trimEnd()}…`;
  return { text, box: new DOMRect(line.box.x, line.box.y, widthOf(text), line.box.height) };
}
