/** Numbers for every head and key that attention can be weighed with: here, fetched, or asked from the kernel. */
import { untrack } from 'svelte';
import { LazyArray, type Figure } from '../figure.svelte';
import type { NdArray } from '../wire';
import { say } from '../words';

/** What mechviz/views/_attention_weigh.py sends of one of them. */
export interface WeighJson {
  name: string;
  /** "‖v‖" */
  symbol: string;
  signed: boolean;
  /** [head, key]; null where they are asked for, or there are none. */
  values: NdArray | LazyArray | null;
  /** The kernel computes them when they are asked for. */
  asked: boolean;
  /** Why there are none. */
  reason: string | null;
  /** Heads without, and why. */
  missing: Record<string, string>;
}

export interface KeyNumbers {
  values: NdArray;
  signed: boolean;
  missing: Record<string, string>;
}

type Found = KeyNumbers | { reason: string };

interface Asked {
  figure: Figure;
  view: string;
  /** Number of the sheet, and of the numbers among those of it. */
  sheet: number;
  which: number;
  /** Undefined where none are wanted. */
  json: WeighJson | undefined;
}

/** Made while a component is set up: it fetches what is asked for. */
export class KeyWeights {
  #asked: () => Asked;
  #json = $derived.by(() => this.#asked().json);
  #found = $state.raw(new Map<WeighJson, Found>());
  #here = $derived.by((): Found | undefined => {
    const json = this.#json;
    if (!json) return undefined;
    if (json.reason) return { reason: json.reason };
    const { values, signed, missing } = json;
    if (!values) return this.#found.get(json);
    if (!(values instanceof LazyArray)) return { values, signed, missing };
    if (values.absent) return { reason: say('reading.absent') };
    return values.value ? { values: values.value, signed, missing } : this.#found.get(json);
  });
  /** Undefined until they are here. */
  numbers = $derived(this.#here && 'values' in this.#here ? this.#here : undefined);
  /** Why there are none. */
  reason = $derived(this.#here && 'reason' in this.#here ? this.#here.reason : undefined);
  awaited = $derived(this.#json !== undefined && this.#here === undefined);

  constructor(asked: () => Asked) {
    this.#asked = asked;
    $effect(() => this.#fetch());
  }

  #fetch(): void {
    const json = this.#json;
    if (!json || json.reason || untrack(() => this.#here)) return;
    const keep = (found: Found) => (this.#found = new Map(this.#found).set(json, found));
    const failed = (error: Error) => keep({ reason: error.message });
    if (json.values instanceof LazyArray) return void json.values.load().catch(failed);
    const { figure, view, sheet, which } = untrack(this.#asked);
    if (!json.asked || !figure.live) return void keep({ reason: say('reading.kernel') });
    // Each in a channel of its own: all of them are wanted once they were asked for.
    figure.ask(view, 'weigh', { sheet, which }, { channel: `weigh ${sheet} ${which}` }).then((answer) => {
      const said = answer?.value as Partial<KeyNumbers> & { reason?: string };
      const values = answer?.arrays[0];
      if (values) keep({ values, signed: !!said.signed, missing: said.missing ?? {} });
      else keep({ reason: said?.reason ?? say('reading.kernel') });
    }, failed);
  }
}
