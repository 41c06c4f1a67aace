/** An array that is here, or is fetched as soon as something is set up that shows it. */
import { LazyArray } from '../figure.svelte';
import type { NdArray } from '../wire';

/** Made while a component is set up. */
export class Awaited {
  #asked: () => NdArray | LazyArray | null;
  #part = $derived.by(() => this.#asked());
  /** Undefined until it has come, and where there is none. */
  value = $derived((this.#part instanceof LazyArray ? this.#part.value : this.#part) ?? undefined);
  /** This copy does not hold it. */
  absent = $derived(this.#part instanceof LazyArray && this.#part.absent);

  constructor(asked: () => NdArray | LazyArray | null) {
    this.#asked = asked;
    $effect(() => {
      // What cannot be fetched is tried again when it is shown again.
      if (this.#part instanceof LazyArray) this.#part.load().catch(() => {});
    });
  }
}
