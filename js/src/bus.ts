/** Figures of one document whose selections have one id are one selection, also while the kernel is busy. */
import type { Selection } from './selection';

/** What a figure (figure.svelte.ts) is to the others that share its selection. */
export interface Sharer {
  /** Tells the others of a pick, and names it. */
  tell?: (selection: Selection) => string;
  /** The last pick that each of the others has told this one of. */
  readonly heard: Map<string, number>;
  receive(selection: Selection): void;
}

/** An event of the document: figures may come from different bundles, and none of them outlives the others. */
const EVENT = 'mechviz:selection';

interface Told {
  id: string;
  from: object;
  /** "f3a9:17": the 17th pick in one figure. */
  origin: string;
  selection: Selection;
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
