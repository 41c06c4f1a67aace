/** Files out of a standalone page: the page itself, and its figures as data (docs/figure-format.md). */
import type { FigureJson } from '../figure.svelte';
import type { Selection } from '../selection';

/** Of mechviz/figure_file.py. */
const FORMAT = 'mechviz figure';
export const VERSION = 1;

/** The document as it was opened, with what is picked now. */
export function pageFile(document: Document, host: Element, selection: Selection): string {
  const copy = document.documentElement.cloneNode(true) as HTMLElement;
  // What scripts have added: drawn figures, and the bundle that was unpacked.
  copy.querySelectorAll('.mechviz, head > script').forEach((added) => added.remove());
  copy.classList.remove('drawn', 'bare');
  copy.classList.add('page');
  const all = [...document.querySelectorAll('[data-mechviz-figure]')];
  const at = all.findIndex((figure) => figure.contains(host));
  const data = copy.querySelectorAll('[data-mechviz-figure]')[at]?.querySelector('script');
  if (data) data.dataset.selection = JSON.stringify(selection); // beside the figure, which may be packed
  return `<!doctype html>${copy.outerHTML}`;
}

/** Bytes of every array by id, and the height of every view at a width. */
export interface Measured {
  bytes: Map<string, Uint8Array>;
  width: number;
  heights: Record<string, number>;
}

/** A page's figure as the text of a .json file. */
export function figureFile(figure: FigureJson, selection: Selection, { bytes, width, heights }: Measured): string {
  let version = '';
  const views = Object.entries(figure.views).map(([id, { kind, props }]) => {
    const made = (props.frame as { made?: { mechviz: string; provenance: unknown } } | undefined)?.made;
    version ||= made?.mechviz ?? '';
    return [id, { kind, props, provenance: made?.provenance ?? {}, heights: { [width]: heights[id] } }];
  });
  const arrays = Object.entries(figure.arrays).map(([id, header]) => {
    const { dtype, shape, encoding, layout, exact } = header;
    const data = base64(bytes.get(id)!);
    return [id, { dtype, shape, encoding, layout, exact, lazy: header.lazy === true, data }];
  });
  const content = {
    format: FORMAT,
    version: VERSION,
    written_by: `mechviz ${version}`.trim(),
    layout: figure.layout,
    selection,
    views: Object.fromEntries(views),
    arrays: Object.fromEntries(arrays),
  };
  // ASCII, as Python writes it.
  return JSON.stringify(content).replace(
    /[^\x00-\x7f]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function base64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
}
