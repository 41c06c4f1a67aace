/** Writing SVG as text: numbers, attributes, and characters that XML cannot carry. */

/** At most two decimals: a hundredth of a pixel is seen by nobody and costs a file a third of its size. */
export function num(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** Text of an element or an attribute. Control characters and lone surrogates, which no XML holds, become U+FFFD. */
export function escape(text: string): string {
  return text
    .replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!)
    .replace(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, '\ufffd');
}

/**
 * Ids that no other picture has: several that stand in one HTML document would else share their ramps. They come from
 * what is drawn, so that equal pictures are equal. Quotes are escaped in text: what is changed are attributes.
 */
export function ownIds(svg: string): string {
  let hash = 0x811c9dc5; // FNV-1a
  for (let i = 0; i < svg.length; i++) hash = Math.imul(hash ^ svg.charCodeAt(i), 0x01000193);
  const own = `m${(hash >>> 0).toString(36)}-`;
  return svg.replace(/( id="|="url\(#|href="#)/g, `$1${own}`);
}

export type Attributes = Record<string, string | number | undefined>;

/** ` x="1" fill="#fff"`, without what is undefined. */
export function attributes(all: Attributes): string {
  return Object.entries(all)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}="${typeof value === 'number' ? num(value) : escape(value!)}"`)
    .join('');
}

export function tag(name: string, all: Attributes, content = ''): string {
  return content ? `<${name}${attributes(all)}>${content}</${name}>` : `<${name}${attributes(all)}/>`;
}
