/** The pixels of images, here or fetched as soon as something is set up that shows them. */
import { LazyArray } from '../figure.svelte';
import type { NdArray } from '../wire';
import type { ImageJson } from './patches';

/** Made while a component is set up. */
export class PatchPixels {
  #images: () => ImageJson[];

  constructor(images: () => ImageJson[]) {
    this.#images = images;
    $effect(() => {
      // What cannot be fetched is tried again when it is shown again.
      for (const { pixels } of images()) if (pixels instanceof LazyArray) pixels.load().catch(() => {});
    });
  }

  /** Undefined until they have come, and where there are none. */
  of(i: number): NdArray | undefined {
    const pixels = this.#images()[i]?.pixels;
    return (pixels instanceof LazyArray ? pixels.value : pixels) ?? undefined;
  }
}
