/** The backend of a standalone page: arrays lie in it as gzip + base64 in inert script elements. */
import type { Backend, Shown } from './backend';
import { figureFile, pageFile } from './export/pagefile';
import type { FigureJson } from './figure.svelte';
import type { Selection } from './selection';
import { decode, type NdArray } from './wire';
import { say } from './words';

export class PageBackend implements Backend {
  readonly live = false;
  #loading = new Map<string, Promise<NdArray | undefined>>();

  constructor(
    readonly document: Document,
    readonly figure: FigureJson,
    readonly writeSelection?: (selection: Selection) => void,
  ) {}

  load(id: string): Promise<NdArray | undefined> {
    let loading = this.#loading.get(id);
    if (!loading) this.#loading.set(id, (loading = this.#read(id)));
    return loading;
  }

  async file(kind: 'html' | 'json', { host, selection }: Shown): Promise<Blob> {
    await parsed(this.document);
    if (kind === 'html') return new Blob([pageFile(this.document, host, selection)], { type: 'text/html' });
    const ids = Object.keys(this.figure.arrays);
    const found = await Promise.all(ids.map(async (id) => [id, await this.#bytes(id)] as const));
    const bytes = new Map(found.flatMap(([id, buffer]) => (buffer ? [[id, new Uint8Array(buffer)] as const] : [])));
    if (bytes.size < ids.length) throw new Error(say('export.absent', { n: bytes.size, all: ids.length }));
    const views = [...host.shadowRoot!.querySelectorAll<HTMLElement>('[data-view]')];
    const heights = Object.fromEntries(views.map((view) => [view.dataset.view!, view.offsetHeight]));
    const text = figureFile(this.figure, selection, { bytes, width: host.offsetWidth, heights });
    return new Blob([text], { type: 'application/json' });
  }

  async #read(id: string): Promise<NdArray | undefined> {
    const bytes = await this.#bytes(id);
    return bytes && decode(this.figure.arrays[id], bytes);
  }

  async #bytes(id: string): Promise<ArrayBuffer | undefined> {
    const header = this.figure.arrays[id] as (FigureJson['arrays'][string] & { blob?: string }) | undefined;
    if (!header?.blob) return undefined;
    const selector = `script[data-blob="${header.blob}"]`;
    let element = this.document.querySelector(selector);
    if (!element?.nextSibling) {
      // The first picture is drawn while the rest of a large file is still being read; this may be in the middle of it.
      await parsed(this.document);
      element = this.document.querySelector(selector);
    }
    return element ? inflate(element.textContent ?? '') : undefined;
  }
}

function parsed(document: Document): Promise<void> {
  if (document.readyState !== 'loading') return Promise.resolve();
  return new Promise((resolve) => document.addEventListener('DOMContentLoaded', () => resolve(), { once: true }));
}

/** A figure as it lies in a page: JSON, packed where it is long, and the selection with which the page was saved. */
export async function figureIn(script: HTMLElement | null): Promise<FigureJson> {
  const text = script?.textContent ?? '{}';
  const json = script?.dataset.packed === undefined ? text : new TextDecoder().decode(await inflate(text));
  const figure = JSON.parse(json) as FigureJson;
  const saved = script?.dataset.selection;
  return saved ? { ...figure, selection: JSON.parse(saved) } : figure;
}

async function inflate(base64: string): Promise<ArrayBuffer> {
  const text = atob(base64.trim());
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Response(stream).arrayBuffer();
}
