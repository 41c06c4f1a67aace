/** What is picked, in the page's address: "#mv-0=layers:1;heads:0&mv-1=positions:3,4", so that a link shows it. */
import type { Figure, FigureJson } from './figure.svelte';
import { AXES, type Axis, type Selection } from './selection';

const PART = /^mv-([\w-]+)=(.*)$/;

/** The parts of the address by name. */
type Parts = Map<string, string>;

/**
 * The address of one figure of a page that stands by itself; in a notebook's frame nobody sees one. `known` is one for all
 * figures of the page: a link to a heading takes what is picked out of the address, and not off the screen.
 */
export function addressOf(
  document: Document,
  host: Element,
  { selection_id: shared }: FigureJson,
  known: Parts,
): Address | undefined {
  if (document.documentElement.classList.contains('bare') || document.defaultView?.parent !== document.defaultView)
    return undefined;
  const place = [...document.querySelectorAll('[data-mechviz-figure]')].indexOf(host);
  return new Address(document.defaultView!, shared ?? String(place), known);
}

export class Address {
  constructor(
    readonly window: Window,
    readonly name: string,
    readonly known: Parts,
  ) {}

  /** The figure with the selection that the address names; nothing where it names none. */
  read(figure: Pick<FigureJson, 'selection'>): { selection: Partial<Selection> } | undefined {
    const text = partsOf(this.window.location.hash).get(this.name);
    if (text === undefined) return undefined;
    this.known.set(this.name, text);
    return { selection: { ...figure.selection, ...selectionOf(text) } };
  }

  write(selection: Selection): void {
    // What was picked last comes first: whoever opens the address begins there.
    const mine = textOf(selection);
    this.known.set(this.name, mine);
    const parts = new Map([[this.name, mine]]);
    for (const [name, text] of [...partsOf(this.window.location.hash), ...this.known])
      if (!parts.has(name)) parts.set(name, text);
    const hash = [...parts].map(([name, text]) => `mv-${name}=${text}`).join('&');
    // Not a step to go back to: a reader picks a hundred times.
    this.window.history.replaceState(null, '', `#${hash}`);
  }

  /** Bring the figure that a link is about into sight, and show what a link that is followed later names. */
  follow(figure: Figure): void {
    if (partsOf(this.window.location.hash).keys().next().value === this.name) figure.host.scrollIntoView();
    this.window.addEventListener('hashchange', () => {
      const named = this.read({ selection: {} });
      if (named) figure.receive(named.selection);
    });
  }
}

function partsOf(hash: string): Parts {
  const found = hash
    .slice(1)
    .split('&')
    .flatMap((part) => [PART.exec(part)].filter((match) => match !== null));
  return new Map(found.map(([, name, text]) => [name, text]));
}

function textOf(selection: Selection): string {
  return AXES.filter((axis) => selection[axis].length)
    .map((axis) => `${axis}:${selection[axis].join(',')}`)
    .join(';');
}

/** All axes: what is not named is not picked. Anybody may write an address, so nothing but whole numbers counts. */
function selectionOf(text: string): Partial<Selection> {
  const given = new Map(text.split(';').map((part) => part.split(':') as [Axis, string | undefined]));
  const listOf = (axis: Axis) =>
    (given.get(axis) ?? '')
      .split(',')
      .filter((n) => /^\d{1,9}$/.test(n))
      .map(Number);
  return Object.fromEntries(AXES.map((axis) => [axis, listOf(axis)]));
}
