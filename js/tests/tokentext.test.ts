import { expect, test } from 'vitest';
import type { Lut, Rgb } from '../src/color';
import { BlockElements } from '../src/parts/tokenblock';
import { blocksOf, fillsFor, type TokenFill } from '../src/parts/tokentext';
import type { TokensJson } from '../src/views/types';

/** Tokens of whole characters; with `piece`, of parts of one. */
function words(text: string[], more: Partial<TokensJson> = {}): TokensJson {
  return {
    text,
    label: text.map((t, i) => (more.piece?.[i] ? `⟨${more.piece[i]}⟩` : t.replace(/^ /, '·'))),
    group: text.map((_, i) => i),
    special: text.map(() => false),
    role: text.map(() => null),
    ids: null,
    piece: text.map(() => ''),
    ...more,
  };
}

const cells = (tokens: TokensJson, marks = false) => blocksOf(tokens, marks).flatMap((block) => block.cells);
const shown = (tokens: TokensJson, marks = false) => cells(tokens, marks).map((cell) => cell.text);

test('white space is seen: a space alone, newlines, tabs; a leading space is a space', () => {
  expect(shown(words(['a', ' b', ' ', '   ', '\t', '\n', 'c']))).toEqual(['a', ' b', '·', '···', '⇥\t', '↵', 'c']);
});

test('a combining mark that begins a token stands on a dotted circle', () => {
  const text = ['e', '\u0301', '\u064e\u0651', 'e\u0301', ' \u0301', '\u20e3', '\ufe0f'];
  const found = ['e', '◌\u0301', '◌\u064e\u0651', 'e\u0301', ' \u0301', '◌\u20e3', '\ufe0f'];
  expect(shown(words(text))).toEqual(found);
  // One that is split over tokens, too.
  const split = words(['\u0301', ''], { group: [0, 0], piece: ['CC', '81'] });
  expect(cells(split)[0]).toMatchObject({ text: '', glyph: '◌\u0301' });
});

test('marks turn every space into a dot', () => {
  expect(shown(words([' b', ' c d ']), true)).toEqual(['·b', '·c·d·']);
});

test('the line ends after a newline; one inside a token breaks inside', () => {
  const [dot, blank, indent] = cells(words(['.\n', '\n\n', '\n    ']));
  expect([dot.text, dot.ends]).toEqual(['.↵', true]);
  expect([blank.text, blank.ends]).toEqual(['↵\n↵', true]);
  expect([indent.text, indent.ends]).toEqual(['↵\n    ', false]);
});

test('a line may break before a word, not inside it, and not at its own start', () => {
  const tokens = words(['un', 'der', ' stand', '.', '\n', ' x', '<|end|>', 'y'], {
    special: [false, false, false, false, false, false, true, false],
  });
  const opens = cells(tokens).map((cell) => cell.opens);
  //                     un     der    stand  .      ↵     x (fresh line) end   y
  expect(opens).toEqual([false, false, true, false, true, false, true, true]);
});

test('a character over three tokens is one glyph with three positions, after what stands before it', () => {
  const tokens = words(['a ☕', '', '', '!'], { group: [0, 0, 0, 3], piece: ['E2', '98', '95', ''] });
  const [glyph, rest] = cells(tokens);
  expect(glyph).toMatchObject({ positions: [0, 1, 2], text: 'a ', glyph: '☕' });
  expect(rest).toMatchObject({ positions: [3], text: '!', glyph: '', joint: false });
});

test('a token that ends one character and begins the next is joined to the first and has its own glyph', () => {
  // "éé" as C3 | A9 C3 | A9: the second é belongs to the token in the middle.
  const tokens = words(['é', 'é', ''], { group: [0, 0, 0], piece: ['C3', 'A9 C3', 'A9'] });
  expect(cells(tokens)).toMatchObject([
    { positions: [0], text: 'é', glyph: '', joint: false },
    { positions: [1, 2], text: '', glyph: 'é', joint: true },
  ]);
});

test('an escape of an unseen character is one glyph too, and bytes of no character stand for themselves', () => {
  const unseen = words(['⟨U+200B⟩', ''], { group: [0, 0], piece: ['E2 80', '8B'] });
  expect(cells(unseen)).toMatchObject([{ positions: [0, 1], text: '', glyph: '⟨U+200B⟩' }]);
  const broken = words(['⟨F0⟩', ''], { group: [0, 0], piece: ['F0', '9F'] });
  expect(shown(broken)).toEqual(['⟨F0⟩', '⟨9F⟩']);
});

test('special tokens are shown as they are, without marks', () => {
  const tokens = words(['<|a b|>'], { special: [true] });
  expect(cells(tokens, true)).toMatchObject([{ text: '<|a b|>', special: true }]);
});

test('a paragraph runs from the right where most of its letters do; the next decides for itself', () => {
  const tokens = words(['שלום', ' עולם', ' ok', '\n', 'Hello', ' שלום', ' world', '\n', '123', '!']);
  expect(blocksOf(tokens, false).map(({ first, last, rtl }) => [first, last, rtl])).toEqual([
    [0, 3, true],
    [4, 9, false],
  ]);
});

test('blocks cover all tokens in order, end at newlines, and none grows without bound', () => {
  const lines = words(Array.from({ length: 4000 }, (_, i) => (i % 10 === 9 ? '\n' : ' word')));
  const one = words(Array.from({ length: 4000 }, () => ' word'));
  for (const tokens of [lines, one]) {
    const blocks = blocksOf(tokens, false, 1000);
    expect(blocks.flatMap((block) => block.cells.flatMap((cell) => cell.positions))).toEqual(
      tokens.text.map((_, i) => i),
    );
    expect(Math.max(...blocks.map((block) => block.cells.length))).toBeLessThanOrEqual(1100);
  }
  for (const block of blocksOf(lines, false, 1000).slice(0, -1)) expect(lines.text[block.last]).toBe('\n');
});

// A ramp whose colour is its own index: white at 0, black at 255.
const grey: Lut = {
  packed: new Uint32Array(256),
  rgb: Array.from({ length: 256 }, (_, i): Rgb => [255 - i, 255 - i, 255 - i]),
};

test('fills: colour by place, a mark for what does not fit, a hatch for NaN, text that reads', () => {
  const values = [0, 2, 1, 3, -1, NaN, Infinity, -Infinity];
  const fills = fillsFor(values, { ramp: 'ink', limits: [0, 2] }, grey, [20, 20, 20]);
  expect(fills.map((fill) => [fill.background, fill.mark])).toEqual([
    ['rgb(255 255 255)', undefined],
    ['rgb(0 0 0)', undefined],
    ['rgb(127 127 127)', undefined],
    ['rgb(0 0 0)', 'above'],
    ['rgb(255 255 255)', 'below'],
    ['transparent', 'nan'],
    ['rgb(0 0 0)', 'above'],
    ['rgb(255 255 255)', 'below'],
  ]);
  expect(fills.map((fill) => fill.color).slice(0, 3)).toEqual(['rgb(20 20 20)', 'rgb(255 255 255)', 'rgb(0 0 0)']);
});

test('after any fills that came before, a token looks as if these were its first; what stays the same is not written', async () => {
  const text = ['é', '', ' ran'];
  const given = words(text, { label: text, group: [0, 0, 2], piece: ['C3', 'A9', ''] });
  const [block] = blocksOf(given, false);
  const fill = (background: string, color: string, mark?: TokenFill['mark']): TokenFill => ({
    background,
    color,
    mark,
  });
  const kinds = [
    fill('rgb(1, 2, 3)', 'rgb(0, 0, 0)'),
    fill('rgb(1, 2, 3)', 'rgb(255, 255, 255)', 'above'),
    fill('rgb(4, 5, 6)', 'rgb(255, 255, 255)', 'above'),
    fill('transparent', 'rgb(0, 0, 0)', 'nan'),
    null,
    undefined,
  ];
  const all = (kind: TokenFill | null | undefined) => (kind === undefined ? undefined : text.map(() => kind));
  const html = (elements: BlockElements) => {
    const box = document.createElement('div');
    box.append(...elements.nodes.map((node) => node.cloneNode(true)));
    for (const element of box.querySelectorAll('[style=""]')) element.removeAttribute('style');
    return box.innerHTML;
  };
  for (const from of kinds) {
    for (const to of kinds) {
      const elements = new BlockElements(block, given.label, all(from));
      elements.fill(all(to));
      expect(html(elements)).toBe(html(new BlockElements(block, given.label, all(to))));
    }
  }

  const elements = new BlockElements(block, given.label, all(kinds[0]));
  const written: string[] = [];
  const watch = new MutationObserver((changes) => written.push(...changes.map((change) => change.attributeName!)));
  for (const node of elements.nodes) watch.observe(node, { attributes: true, subtree: true });
  elements.fill(all({ ...kinds[0]!, background: 'rgb(7, 8, 9)' }));
  await Promise.resolve();
  // Three grounds: neither a class nor a colour of letters.
  expect(written).toEqual(['style', 'style', 'style']);
  watch.disconnect();
});
