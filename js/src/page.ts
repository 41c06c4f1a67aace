/** The backend of a standalone page: arrays lie in it as gzip + base64 in inert script elements. */
import type { Backend } from './backend';
import type { FigureJson } from './figure.svelte';
import { decode, type NdArray } from './wire';

export class PageBackend implements Backend {
  readonly live = false;
  #loading = new Map<string, Promise<NdArray | undefined>>();

  constructor(
    readonly document: Document,
    readonly figure: FigureJson,
  ) {}

  load(id: string): Promise<NdArray | undefined> {
    let loading = this.#loading.get(id);
    if (!loading) this.#loading.set(id, (loading = this.#read(id)));
    return loading;
  }

  async #read(id: string): Promise<NdArray | undefined> {
    const header = this.figure.arrays[id] as (FigureJson['arrays'][string] & { blob?: string }) | undefined;
    if (!header?.blob) return undefined;
    const selector = `script[data-blob="${header.blob}"]`;
    let element = this.document.querySelector(selector);
    if (!element) {
      // The first picture is drawn while the rest of a large file is still being read.
      await parsed(this.document);
      element = this.document.querySelector(selector);
    }
    if (!element) return undefined;
    return decode(header, await inflate(element.textContent ?? ''));
  }
}

function parsed(document: Document): Promise<void> {
  if (document.readyState !== 'loading') return Promise.resolve();
  return new Promise((resolve) => document.addEventListener('DOMContentLoaded', () => resolve(), { once: true }));
}

async function inflate(base64: string): Promise<ArrayBuffer> {
  const text = atob(base64.trim());
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Response(stream).arrayBuffer();
}
