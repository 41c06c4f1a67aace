/** Figures of one document whose selections have one id are one selection, also while the kernel is busy. */
import type { Lent } from './lent';
import type { Selection } from './selection';

/** What a figure (figure.svelte.ts) is to the others that share its selection. */
export interface Sharer {
  /** Tells the others of a pick, and names it. */
  tell?: (selection: Selection) => string;
  /** The last pick that each of the others has told this one of. */
  readonly heard: Map<string, number>;
  receive(selection: Selection): void;
  /** Tells the others of colours that this one lends, or lends no more. */
  tellLent?: (lent: Lent | undefined) => void;
  /** What this one lends itself. */
  readonly lends: Lent | undefined;
  /** What is lent to its texts. */
  lent: Lent | undefined;
}

/** An event of the document: figures may come from different bundles, and none of them outlives the others. */
const EVENT = 'mechviz:selection';
const LENT = 'mechviz:lent';

interface Told {
  id: string;
  from: object;
  /** "f3a9:17": the 17th pick in one figure. */
  origin: string;
  selection: Selection;
}

interface ToldLent {
  id: string;
  from: object;
  lent?: Lent;
  /** Of a figure that has come after the pick. */
  asks?: boolean;
}

/** Tell the others what is picked here, and follow them. */
export function share(figure: Sharer, id: string, signal: AbortSignal): void {
  const name = crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
  let count = 0;
  figure.tell = (selection) => {
    const told: Told = { id, from: figure, origin: `${name}:${++count}`, selection };
    document.dispatchEvent(new CustomEvent(EVENT, { detail: told }));
    return told.origin;
  };
  const hear = (event: Event) => {
    const { id: theirs, from, origin, selection } = (event as CustomEvent<Told>).detail;
    if (theirs !== id || from === figure) return;
    figure.heard.set(...split(origin));
    figure.receive(selection);
  };
  document.addEventListener(EVENT, hear, { signal });

  const told = (more: Partial<ToldLent>) =>
    document.dispatchEvent(new CustomEvent<ToldLent>(LENT, { detail: { id, from: figure, ...more } }));
  const hearLent = (event: Event) => {
    const { id: theirs, from, lent, asks } = (event as CustomEvent<ToldLent>).detail;
    if (theirs !== id || from === figure) return;
    if (asks && figure.lends) told({ lent: figure.lends });
    // Its own are of its own tokens.
    else if (!asks && !figure.lends) figure.lent = lent;
  };
  document.addEventListener(LENT, hearLent, { signal });
  figure.tellLent = (lent) => told({ lent });
  told({ asks: true });
}

/** Whether a pick that comes back through the kernel has been heard here already, or a later one of the same figure. */
export function isHeard(heard: ReadonlyMap<string, number>, origin: string | undefined): boolean {
  const [name, count] = split(origin ?? '');
  return count <= (heard.get(name) ?? 0);
}

function split(origin: string): [name: string, count: number] {
  const [name, count] = origin.split(':');
  return [name, Number(count)];
}
