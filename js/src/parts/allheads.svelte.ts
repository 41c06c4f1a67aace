/** What is known of all heads of an attention view, as it comes: thumbnails, the largest weights, scores. */
import type { Figure } from '../figure.svelte';
import type { Tile } from '../pattern/pattern';
import type { RemoteJson } from '../pattern/remote';
import type { AttentionProps } from './attentionsheets';
import { Awaited } from './awaited.svelte';
import { HeadOrder } from './headorder.svelte';
import { thumbOf } from './headthumbs';
import { RemoteThumbs } from './remotethumbs.svelte';

export interface Headed {
  figure: Figure;
  view: string;
  data: AttentionProps;
}

/** Made while a component is set up. */
export class AllHeads {
  /** The large drawing has been complete once: what is behind it may come. */
  overviewed = $state(false);
  #given: () => Headed;
  #data = $derived.by(() => this.#given().data);
  #peaks: Awaited;
  #thumbs: Awaited;
  #remoteThumbs: RemoteThumbs;
  /** Which scores are shown, and which heads in which order. */
  readonly order: HeadOrder;

  /** The largest weight of each, where it is known. */
  peaks = $derived.by(() => this.#peaks.value?.data);
  /** The whole of each, pooled; none while they are on their way. */
  tiles = $derived.by((): Tile[] => {
    const [{ remote, heads, thumb_step: step }, thumbs] = [this.#data, this.#thumbs.value];
    if (remote) return this.#remoteThumbs.tiles;
    return thumbs ? heads.map((_, i) => thumbOf(thumbs, step, i)) : [];
  });

  constructor(given: () => Headed) {
    this.#given = given;
    this.#peaks = new Awaited(() => this.#data.peaks);
    // They take a kernel a second of a long text: not while the large map is on its way.
    const scores = new Awaited(() =>
      this.#data.remote && !this.overviewed ? null : (this.#data.scores?.values ?? null),
    );
    const mean = new Awaited(() => this.#data.over?.mean ?? null);
    const spread = new Awaited(() => this.#data.over?.spread ?? null);
    const roleWeights = new Awaited(() => this.#data.role_weights ?? null);
    this.order = new HeadOrder(() => ({
      names: this.#data.scores?.names ?? [],
      values: scores.value,
      over: this.#data.over ? { mean: mean.value, spread: spread.value } : null,
      roles: this.#data.roles,
      roleWeights: roleWeights.value,
    }));
    this.#thumbs = new Awaited(() => this.#data.thumbs);
    this.#remoteThumbs = new RemoteThumbs(() => ({
      ...given(),
      heads:
        this.#data.remote && this.#data.heads.length > 1
          ? this.#data.heads.map((item) => item.values as RemoteJson)
          : null,
      offset: this.#data.offset ?? 0,
      causal: this.#data.causal,
      step: this.#data.thumb_step,
      ready: this.overviewed,
    }));
  }
}
