/** What TokenText draws, worked out without a DOM: which text a token shows, where lines may break, which way they run. */
import { css, indexAt, parseColor, textOn, type Lut, type Rgb } from '../color';
import { beyond, position, type Scale } from '../scale';
import type { TokensJson } from '../views/types';

/** How one token is filled. `above` and `below` put a bar on top, `nan` a hatch; `out` is left out: pale, no fill. */
export interface TokenFill {
  background: string;
  color: string;
  mark?: 'nan' | 'above' | 'below' | 'out';
}

/** What a reader or a search has done to a token; one number a position, of these bits. */
export const STATE = {
  pinned: 1,
  /** Picked with a neighbour: a line below the span instead of a ring. */
  span: 2,
  /** The line goes on to the next token. */
  joined: 4,
  found: 8,
  /** Nothing to compare it with. */
  alone: 16,
  /** One fill with the next token: a merged word. */
  glued: 32,
  /** The first token of a model's answer: a bar before it. */
  answer: 64,
} as const;
export const STATES = Object.keys(STATE) as (keyof typeof STATE)[];

/** Where one of several texts begins, and what stands beside and below it. */
export interface TextHead {
  start: number;
  label: string;
  foot: string;
}

/** The bits of what is picked: a token by itself, or runs of them. */
export function pickedBits(states: Uint8Array, picked: Iterable<number>): void {
  for (const i of picked) states[i] |= STATE.pinned;
  for (let i = 0; i < states.length; i++) {
    if (!(states[i] & STATE.pinned)) continue;
    if (states[i + 1] & STATE.pinned) states[i] |= STATE.span | STATE.joined;
    if (i && states[i - 1] & STATE.pinned) states[i] |= STATE.span;
  }
}

/** One piece of running text: a token, or the tokens that hold the bytes of one character. */
export interface Cell {
  /** Positions; more than one where a character is split over tokens. */
  positions: number[];
  /** What stands in the fill; of a split character, what the first token holds before it. */
  text: string;
  /** The split character; "" where there is none. */
  glyph: string;
  special: boolean;
  /** A line may break before it. */
  opens: boolean;
  /** The line ends after it. */
  ends: boolean;
  /** Wider than a line may be: it may break inside. */
  long: boolean;
  /** Shares bytes of a character with the cell before it: a notch at the joint. */
  joint: boolean;
}

/** A stretch of text that is laid out on its own, so that the browser can leave out what is off screen. */
export interface Block {
  first: number;
  last: number;
  rtl: boolean;
  cells: Cell[];
  /** About how many lines it takes, before it is laid out. */
  lines: number;
  /** Which of several texts it belongs to. */
  text: number;
}

/** A block ends at a newline once it holds this many tokens. */
const SOFT = 256;
/** Characters of a line at 900 px; a token longer than LONG may break inside. */
const COLUMNS = 66;
const LONG = 40;

/** The fill of each value on a scale: its colour, a text colour that reads on it, and what does not fit the scale. */
export function fillsFor(values: ArrayLike<number>, scale: Scale, lut: Lut, foreground: Rgb): TokenFill[] {
  const { styles, nan, above, below } = looksOf(lut, foreground);
  return Array.from(values, (value) => {
    if (Number.isNaN(value)) return nan;
    const side = beyond(scale, value);
    return side ? (side > 0 ? above : below) : styles[indexAt(position(scale, value))];
  });
}

interface Looks {
  foreground: Rgb;
  styles: TokenFill[];
  nan: TokenFill;
  above: TokenFill;
  below: TokenFill;
}
const looks = new WeakMap<Lut, Looks>();

/** Every fill that a scale has, made once: a token whose fill is the same object is not visited when others change. */
function looksOf(lut: Lut, foreground: Rgb): Looks {
  let found = looks.get(lut);
  if (found?.foreground !== foreground) {
    const styles = lut.rgb.map((rgb): TokenFill => ({ background: css(rgb), color: css(textOn(rgb, foreground)) }));
    looks.set(
      lut,
      (found = {
        foreground,
        styles,
        nan: { background: 'transparent', color: css(foreground), mark: 'nan' },
        above: { ...styles[styles.length - 1], mark: 'above' },
        below: { ...styles[0], mark: 'below' },
      }),
    );
  }
  return found;
}

/** The colour of text in the theme of `host`; black where the system has set its own. */
export function foregroundOf(host: Element): Rgb {
  return parseColor(getComputedStyle(host).getPropertyValue('--mv-fg')) ?? [0, 0, 0];
}

/**
 * Running text as blocks of cells. `marks` shows every space as a dot; a paragraph of more than `most` tokens is cut before
 * a word, or, where `cuts` are known (`lineCuts`), at these. No block holds tokens of two texts, which begin at `starts`.
 */
export function blocksOf(
  tokens: TokensJson,
  marks: boolean,
  most = Infinity,
  starts: number[] = [],
  cuts?: ReadonlySet<number>,
): Block[] {
  const blocks: Block[] = [];
  let [paragraph, text]: [Cell[], number] = [[], 0];
  const flush = () => {
    if (paragraph.length) append(blocks, paragraph, runsRightToLeft(paragraph, tokens), text, Math.min(SOFT, most));
    paragraph = [];
  };
  for (const cell of cellsOf(tokens, marks)) {
    if (cell.positions[0] >= starts[text + 1]) {
      flush();
      text++;
      cell.opens = false;
    }
    if (cuts ? cuts.has(cell.positions[0]) : paragraph.length >= most && cell.opens) flush();
    paragraph.push(cell);
    if (cell.ends) flush();
  }
  flush();
  return blocks;
}

/**
 * Where text can be cut so that nobody sees it: tokens that begin a line, at least `least` apart. `rectOf` tells where a
 * token stands.
 */
export function lineCuts(blocks: Block[], least: number, rectOf: (i: number) => DOMRect | undefined): Set<number> {
  const cuts = new Set<number>();
  let cut = 0;
  let bottom = Infinity;
  for (const { positions } of blocks.flatMap(({ cells }) => cells)) {
    const rect = rectOf(positions[0]);
    if (!rect) continue;
    if (rect.top > bottom - rect.height / 2 && positions[0] - cut >= least) cuts.add((cut = positions[0]));
    bottom = rect.bottom;
  }
  return cuts;
}

/** Short paragraphs that run the same way share a block. */
function append(blocks: Block[], cells: Cell[], rtl: boolean, text: number, enough: number): void {
  const block = blocks.at(-1);
  const size = cells.reduce((sum, cell) => sum + cell.text.length + cell.glyph.length + 0.4, 0);
  const lines = Math.ceil(size / COLUMNS);
  const last = cells.at(-1)!.positions.at(-1)!;
  if (block?.text === text && block.rtl === rtl && block.cells.length < enough) {
    block.cells.push(...cells);
    block.last = last;
    block.lines += lines;
  } else {
    blocks.push({ first: cells[0].positions[0], last, rtl, cells, lines, text });
  }
}

function* cellsOf(tokens: TokensJson, marks: boolean): Generator<Cell> {
  const { text, label, group, special, piece } = tokens;
  let spaced = false; // a word begins after a space or a special token
  let fresh = true; // at the start of a line there is nothing to break
  for (let i = 0; i < text.length;) {
    let end = i + 1;
    // Bytes of no character have their label as text: each stands for itself.
    const shared = piece[i] && text[i] && text[i] !== label[i] && !special[i];
    if (shared) while (end < text.length && group[end] === group[i] && text[end] === '') end++;
    const positions = Array.from({ length: end - i }, (_, k) => i + k);
    const whole = special[i] ? text[i] : visible(text[i], marks) || label[i];
    const glyph = positions.length > 1 ? lastCharacter(whole) : '';
    const shown = whole.slice(0, whole.length - glyph.length);
    const ends = !special[i] && shown.endsWith('\n');
    yield {
      positions,
      text: ends ? shown.slice(0, -1) : shown,
      glyph,
      special: special[i],
      opens: !fresh && (spaced || special[i] || /^\s/.test(text[i])),
      ends,
      long: shown.length > LONG,
      joint: i > 0 && group[i] === group[i - 1],
    };
    spaced = special[i] || /\s$/.test(text[i]);
    fresh = ends;
    i = end;
  }
}

/**
 * Python has escaped what is invisible; what remains is white space: a space alone, newlines, tabs. A combining mark with
 * nothing before it stands on a dotted circle, as in labels.
 */
function visible(text: string, marks: boolean): string {
  if (/^(?![\ufe00-\ufe0f])\p{M}/u.test(text)) text = `◌${text}`;
  const spaces = marks || /^ +$/.test(text) ? text.replaceAll(' ', '·') : text;
  return spaces.replaceAll('\n', '↵\n').replaceAll('\t', '⇥\t');
}

/** The character that is shared: a grapheme, or the escape of one that cannot be seen. */
function lastCharacter(text: string): string {
  return text.match(/⟨[^⟨⟩]*⟩$/)?.[0] ?? [...new Intl.Segmenter().segment(text)].at(-1)?.segment ?? '';
}

/**
 * Tokens are isolated from each other, so within a paragraph their order on screen is their order in the model; it runs
 * from the right where most letters of the paragraph do.
 */
function runsRightToLeft(cells: Cell[], tokens: TokensJson): boolean {
  let [right, all] = [0, 0];
  for (const { positions, special } of cells) {
    if (special) continue;
    const text = tokens.text[positions[0]];
    all += text.match(/\p{L}/gu)?.length ?? 0;
    right +=
      text.match(/(?=\p{L})[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/gu)
        ?.length ?? 0;
  }
  return right > all / 2;
}
