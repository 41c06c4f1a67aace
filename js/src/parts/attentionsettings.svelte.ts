/** What a reader sets about how an attention view is drawn: as its author had it opened until it is set otherwise. */
import { untrack } from 'svelte';
import type { Pooling } from '../pattern/pattern';
import type { StyleJson } from '../style';
import { COMBINES, type Combine } from './attentionpointed';
import type { AttentionReading, OpeningJson } from './attentionreading.svelte';
import { modeAtFirst, modesOf, type Mode } from './attentionscale';
import type { AttentionProps } from './attentionsheets';
import { SHOWN, type Shown } from './patches';

/** What the author has. */
export interface Opening {
  drawing: AttentionProps['drawing'];
  reading: OpeningJson | undefined;
  style: StyleJson;
  data: Pick<AttentionProps, 'images' | 'scale'>;
}

/** Made while a component is set up. */
export class AttentionSettings {
  mode = $state<Mode>('linear');
  /** How weights that share a cell are pooled. */
  pooling = $state<Pooling>('max');
  /** The large drawing: a map, or lines between tokens; several heads in it as one or side by side. */
  drawing = $state<'map' | 'lines'>('map');
  combine = $state<Combine>('mean');
  apart = $state(false);
  /** The score of the pinned cell is taken apart. */
  products = $state(false);
  /** Spaces are drawn. */
  marks = $state(false);
  /** How images are drawn whose patches are among the tokens. */
  shownAs = $state<Shown>('both');

  /** What concerns numbers and tokens is the `reading`'s. An update that opens it otherwise is followed there. */
  constructor(given: () => Opening, reading: AttentionReading) {
    let opened = untrack(given);
    this.mode = firstMode(opened);
    this.pooling = opened.reading?.pooling ?? 'max';
    this.drawing = opened.drawing ?? 'map';
    this.marks = opened.style.spaces ?? false;
    reading.open(opened.reading);
    $effect.pre(() => {
      const now = given();
      untrack(() => {
        if (now.drawing && now.drawing !== opened.drawing) this.drawing = now.drawing;
        if (now.reading) {
          if (now.reading.curve !== opened.reading?.curve) this.mode = firstMode(now);
          if (now.reading.pooling !== opened.reading?.pooling) this.pooling = now.reading.pooling;
          reading.open(now.reading, opened.reading);
        }
        opened = now;
      });
    });
  }

  /** The next one of the scales that there are. */
  scaleNext(modes: Mode[]): void {
    this.mode = next(modes, this.mode);
  }

  actions(): Record<string, () => void> {
    return {
      o: () => (this.pooling = this.pooling === 'max' ? 'mass' : 'max'),
      m: () => (this.marks = !this.marks),
      i: () => (this.shownAs = next(SHOWN, this.shownAs)),
      c: () => (this.combine = next(COMBINES, this.combine)),
      q: () => (this.products = !this.products),
      l: () => (this.drawing = this.drawing === 'map' ? 'lines' : 'map'),
    };
  }
}

/** The author's, else that of the figure's style, else what the weights ask for. */
function firstMode({ reading, style, data }: Opening): Mode {
  const known = modesOf(data.scale).find((mode) => mode === (reading?.curve ?? style.curve));
  return known ?? ((reading?.scale_to ?? null) === null ? modeAtFirst(data) : 'linear');
}

function next<T>(all: readonly T[], of: T): T {
  return all[(all.indexOf(of) + 1) % all.length];
}
