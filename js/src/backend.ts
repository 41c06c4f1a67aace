/** What stands behind a figure: a kernel, the data in a page, or (later) a static site's files. */
import type { NdArray } from './wire';
import type { Selection } from './selection';

export interface Answer {
  value: unknown;
  arrays: NdArray[];
}

/** How something is asked. */
export interface How {
  /** One question is in flight at a time in each channel, and the newest waits behind it; by default that of its name. */
  channel?: string;
  /** It can wait until everything else has its answer. */
  background?: boolean;
}

/** A figure as it stands on the page. */
export interface Shown {
  host: HTMLElement;
  selection: Selection;
}

export interface Backend {
  /** True when a kernel can answer questions; a page holds all it will ever know. */
  readonly live: boolean;
  /** The array with this id; undefined when this file does not hold it. */
  load(id: string): Promise<NdArray | undefined>;
  /** Ask the kernel something about a view. Rejects with `Superseded` when a newer question of its channel was asked. */
  ask?(view: string, name: string, args: unknown, how?: How): Promise<Answer>;
  /** The whole figure as a file, as it is now: a page that opens without a network, or its data. */
  file?(kind: 'html' | 'json', shown: Shown): Promise<Blob>;
  /** Tell Python, or the page's address, what the reader picked; `origin` names the pick among figures that share it. */
  writeSelection?(selection: Selection, origin?: string): void;
}

/** The answer is no longer wanted: a newer question took its place. */
export class Superseded extends Error {}
