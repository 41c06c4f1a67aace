/**
 * The elements of one block of TokenText. Made by hand: a thousand tokens as Svelte blocks cost 0.15 s and as much again
 * whenever their fills change; here a token is visited only when its own fill is another one. Text enters as text nodes.
 */
import { STATE, STATES, type Block, type Cell, type TokenFill } from './tokentext';

export type Fills = (TokenFill | null)[] | undefined;

/** Something that shows the fill of one position. */
interface Filled {
  element: HTMLElement;
  position: number;
  /** A token has a ground as well as a text colour. */
  ground: boolean;
  /** Classes that do not depend on the fill. */
  classes: string;
  shown?: TokenFill | null;
  state: number;
  /** On the plate, of which kind. */
  plain?: string;
  /** What its class says of the fill. */
  kind: string;
}

export class BlockElements {
  /** The tokens by position. */
  readonly tokens = new Map<number, HTMLElement>();
  readonly nodes: Node[] = [];
  #filled: Filled[] = [];

  constructor(block: Block, labels: string[], fills: Fills, states?: Uint8Array) {
    for (const cell of block.cells) {
      if (cell.opens) this.nodes.push(document.createElement('wbr'));
      this.nodes.push(cell.glyph ? this.#joined(cell, labels, block.rtl) : this.#token(cell));
      if (cell.ends) this.nodes.push(document.createElement('br'));
    }
    this.fill(fills);
    if (states) this.mark(states);
  }

  /** Show what is picked, found, merged. */
  mark(states: Uint8Array | undefined): void {
    for (const filled of this.#filled) {
      const state = states?.[filled.position] ?? 0;
      if (!filled.ground || filled.state === state) continue;
      const { element } = filled;
      const changed = filled.state ^ state;
      filled.state = state;
      for (const name of STATES)
        if (changed & STATE[name]) element.toggleAttribute(`data-${name}`, !!(state & STATE[name]));
      if (changed & STATE.pinned) element.ariaSelected = String(!!(state & STATE.pinned));
    }
  }

  /** Show other fills, of positions in a span; without any, the tokens lie on the plate. */
  fill(fills: Fills, from = 0, to = Infinity): void {
    for (const filled of this.#filled) {
      if (filled.position < from || filled.position > to) continue;
      const fill = fills?.[filled.position];
      const plain = !fills && filled.ground ? (filled.position % 2 ? ' odd' : ' even') : '';
      if (filled.shown === fill && filled.plain === plain) continue;
      const { element, shown } = filled;
      // Written only where it is another one: a class that is set is looked up in all rules again.
      const kind = fill?.mark ? ` ${fill.mark}` : plain;
      if (kind !== filled.kind) element.className = filled.classes + kind;
      if (filled.ground && fill?.background !== shown?.background)
        element.style.backgroundColor = fill?.background ?? '';
      if (fill?.color !== shown?.color) element.style.color = fill?.color ?? '';
      [filled.shown, filled.plain, filled.kind] = [fill, plain, kind];
    }
  }

  #token(cell: Cell): HTMLElement {
    const element = this.#option(document.createElement('bdi'), cell.positions[0], [
      cell.special && 'special',
      cell.long && 'long',
      cell.joint && 'joint',
      cell.ends && cell.text === '↵' && 'newline',
    ]);
    element.textContent = cell.text;
    return element;
  }

  /** One character over several fills: what stands before it, then a clipped copy of it on each. */
  #joined(cell: Cell, labels: string[], rtl: boolean): HTMLElement {
    const n = cell.positions.length;
    const joined = document.createElement('span');
    joined.className = cell.joint ? 'joined joint' : 'joined';
    joined.style.setProperty('--n', String(n));
    cell.positions.forEach((position, k) => {
      const element = this.#option(document.createElement('span'), position, [k > 0 && 'joint']);
      element.ariaLabel = labels[position];
      element.style.gridColumn = k ? String(k + 2) : '1 / 3';
      joined.append(element);
    });
    joined.append(this.#part('before', cell.positions[0], cell.text));
    cell.positions.forEach((position, k) => {
      const part = this.#part(k ? 'glyph copy' : 'glyph', position, cell.glyph);
      const at = rtl ? n - 1 - k : k;
      part.style.clipPath = `inset(0 ${(100 * (n - 1 - at)) / n}% 0 ${(100 * at) / n}%)`;
      joined.append(part);
    });
    return joined;
  }

  #option(element: HTMLElement, position: number, classes: (string | false)[]): HTMLElement {
    element.dataset.i = String(position);
    element.role = 'option';
    element.tabIndex = -1;
    element.ariaSelected = 'false';
    this.tokens.set(position, element);
    this.#add(element, position, true, ['token', ...classes].filter(Boolean).join(' '));
    return element;
  }

  #part(classes: string, position: number, text: string): HTMLElement {
    const element = document.createElement('span');
    element.ariaHidden = 'true';
    element.textContent = text;
    this.#add(element, position, false, classes);
    return element;
  }

  #add(element: HTMLElement, position: number, ground: boolean, classes: string): void {
    element.className = classes;
    this.#filled.push({ element, position, ground, classes, state: 0, kind: '' });
  }
}

/** The text of a block, to be found, selected and measured while its tokens are far from the screen. */
export function plainText(block: Block): string {
  return block.cells.map((cell) => cell.text + cell.glyph + (cell.ends ? '\n' : '')).join('');
}
