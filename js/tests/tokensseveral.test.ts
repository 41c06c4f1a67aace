/** `mv.tokens` with several channels, texts, predictions, merged values, spans, search and comparisons. */
import axe from 'axe-core';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { page, userEvent } from 'vitest/browser';
import type { Figure } from '../src/figure.svelte';
import type { Selection } from '../src/selection';
import { find } from '../src/parts/tokensearch';
import { mergedChannel, mergedValues, unitsOf, type ChannelJson } from '../src/views/tokens';
import type { TokensJson } from '../src/views/types';
import { array, channel, EMBER, mountTokens, SIGNED } from './tokenview';

let abort: AbortController;
let root: ShadowRoot;
let figure: Figure;
let written: Selection[];

beforeEach(async () => {
  await page.viewport(1000, 800);
  await userEvent.hover(document.documentElement, { position: { x: 990, y: 790 } });
});
afterEach(() => {
  abort.abort();
  document.body.replaceChildren();
  document.body.removeAttribute('style');
});

async function show(text: string[], values: number[] | null, more: Record<string, unknown> = {}): Promise<void> {
  abort = new AbortController();
  ({ figure, root, written } = await mountTokens(text, values, more, abort.signal));
}

const tokens = (i: number) => [...root.querySelectorAll<HTMLElement>(`[data-i="${i}"]`)];
const token = (i: number) => tokens(i)[0];
const card = () => root.querySelector<HTMLElement>('.card')!.innerText.replace(/\s+/g, ' ').trim();
const button = (name: string) =>
  [...root.querySelectorAll('button')].find(({ textContent }) => textContent!.trim() === name)!;
const fill = (i: number) => getComputedStyle(token(i)).backgroundColor;
const marked = (name: string) => [...root.querySelectorAll<HTMLElement>(`[${name}]`)].map(({ dataset }) => +dataset.i!);
const settled = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));

function json(text: string[], more: Partial<TokensJson> = {}): TokensJson {
  const none = text.map(() => '');
  const no = text.map(() => false);
  const group = text.map((_, i) => i);
  return { label: text, text, group, special: no, role: no.map(() => null), ids: null, piece: none, ...more };
}

// --- channels

const TWO = { label: 'first', merge: 'mean', scale: SIGNED, more: [channel('second', [-4, 0, 4])] };

test('a switch shows one channel or another, number keys and brackets too; the card tells both', async () => {
  await show(['a', ' b', ' c'], [4, 0, -4], TWO);
  const positive = fill(0);
  await userEvent.click(button('second'));
  expect(root.querySelector('.site')!.textContent).toBe('second');
  await vi.waitFor(() => expect(fill(2)).toBe(positive)); // 4 on the same scale
  await userEvent.hover(token(2));
  expect(card()).toMatch(/^·c .* 4 first −4$/);
  token(0).focus();
  // [[ is how a test types [
  for (const [key, site] of [
    ['1', 'first'],
    [']', 'second'],
    ['[[', 'first'],
    ['2', 'second'],
  ]) {
    await userEvent.keyboard(key);
    expect(root.querySelector('.site')!.textContent).toBe(site);
    expect(root.activeElement).toBe(token(0)); // the text stays, its colours change
  }
});

test('side by side every channel has its text; the bar and the card speak of the one that is pointed at', async () => {
  await show(['a', ' b', ' c'], [4, 0, -4], { ...TWO, multiples: true });
  expect(root.querySelectorAll('[role=listbox]')).toHaveLength(2);
  expect([...root.querySelectorAll('h4')].map(({ textContent }) => textContent!.split(/\s+/)[0])).toEqual([
    'first',
    'second',
  ]);
  await userEvent.hover(tokens(0)[1]);
  expect(card()).toMatch(/^a .* −4 first 4$/);
  // The same token is marked in each.
  expect(tokens(0).every((one) => one.hasAttribute('data-hovered'))).toBe(true);
  await userEvent.click(tokens(1)[1]);
  expect(written.at(-1)!.positions).toEqual([1]);
  await userEvent.keyboard('0');
  expect(root.querySelectorAll('[role=listbox]')).toHaveLength(1);
});

// --- texts

const TEXTS = { texts: { starts: [0, 3], labels: ['clean', '2'] } };

test('several texts are rows with their own mean; a pick says which of them', async () => {
  await show(['a', ' b', ' c', 'd', ' e'], [1, 2, 3, 0, 1], TEXTS);
  const rows = [...root.querySelectorAll('.row')].map(({ textContent }) => textContent!.replace(/\s+/g, ' ').trim());
  expect(rows).toEqual(['clean a b c mean 2 nats over 3 tokens', '2 d e mean 0.5000 nats over 2 tokens']);
  await userEvent.click(token(4));
  expect(written.at(-1)).toMatchObject({ positions: [1], texts: [1] });
  expect(marked('data-pinned')).toEqual([4]);
  expect(card()).toMatch(/^·e text 2 · position 1 · id 104/);
  // A pick in another text leaves this one.
  await userEvent.keyboard('{Control>}');
  await userEvent.click(token(0));
  await userEvent.keyboard('{/Control}');
  expect(written.at(-1)).toMatchObject({ positions: [0], texts: [0] });
  await userEvent.keyboard('{Escape}');
  expect(written.at(-1)).toMatchObject({ positions: [], texts: [] });
});

test('arrows go from text to text, and what is pointed at elsewhere is found in the text that is picked', async () => {
  await show(['a', ' b', ' c', 'd', ' e'], [1, 2, 3, 0, 1], TEXTS);
  token(2).focus();
  await userEvent.keyboard('{ArrowRight}');
  expect(root.activeElement).toBe(token(3));
  expect(figure.hover).toEqual({ position: 0, text: 1 });
  figure.receive({ texts: [1], positions: [1] });
  figure.hover = { position: 0 };
  await settled();
  expect(marked('data-pinned')).toEqual([4]);
  expect(marked('data-hovered')).toEqual([3]);
});

// --- predictions

test('the card lists what was expected, the token that came in bold, with its probability and rank', async () => {
  const top = {
    names: ['·Peru', '·Japan', '·c'],
    top: array(Int32Array.of(0, 0, 0, 1, 1, 0), [3, 2]),
    probabilities: array(Float32Array.of(NaN, NaN, 0.5, 0.25, 0.75, 0.125), [3, 2]),
    own: array(Int32Array.of(-1, 1, 2)),
    probability: array(Float32Array.of(NaN, 0.25, 2 ** -25)),
    rank: array(Float32Array.of(NaN, 2, 3)),
    vocab: 795,
  };
  await show(['a', ' Japan', ' c'], [NaN, 1.386, 2.7725887], { top });
  await userEvent.hover(token(1));
  expect(card()).toMatch(/1.386 nats 0.250 p 2 of 795 predicted here ·Peru 0.500 ·Japan 0.250$/);
  expect(root.querySelector('.own')!.textContent).toContain('·Japan');
  const bars = [...root.querySelectorAll<HTMLElement>('.card .bar span')].map((bar) => bar.style.width);
  expect(bars).toEqual(['100%', '50%']);
  await userEvent.hover(token(2));
  expect(card()).toMatch(/ 2.98e−8 p 3 of 795 .*·Japan 0.750 ·Peru 0.125$/); // not 0.000
  expect(root.querySelector('.own')).toBeNull();
  await userEvent.hover(token(0));
  expect(card()).not.toContain('predicted');
});

test('of a merged word what was expected is of the token that is pointed at, and says so', async () => {
  const top = {
    names: ['b', 'c'],
    top: array(Int32Array.of(0, 0, 1), [3, 1]),
    probabilities: array(Float32Array.of(NaN, 0.5, 0.25), [3, 1]),
    own: array(Int32Array.of(-1, 0, 1)),
    probability: array(Float32Array.of(NaN, 0.5, 0.25)),
    rank: array(Float32Array.of(NaN, 1, 1)),
    vocab: 795,
  };
  await show(['a', 'b', ' c'], [1, 2, 4], { top, merged: 'words', merge: 'mean' });
  await userEvent.hover(token(1));
  expect(card()).toMatch(/^ab .*mean of words predicted at b b 0.500$/);
  expect(card()).not.toMatch(/ p |of 795/); // the word's probability is another
  await userEvent.hover(token(2));
  expect(card()).toMatch(/0.250 p 1 of 795 predicted here c 0.250$/);
});

// --- merging

describe('merged values', () => {
  const text = ['<s>', 'The', ' un', 'like', 'ly', '.', '\n', 'x'];
  const special = text.map((_, i) => i === 0);

  test('a word is what stands between white space, special tokens and the starts of texts', () => {
    expect([...unitsOf(json(text, { special }), 'words', null, [0])]).toEqual([0, 1, 2, 2, 2, 2, 6, 7]);
    expect([...unitsOf(json(text, { special }), 'words', null, [0, 4])]).toEqual([0, 1, 2, 2, 4, 4, 6, 7]);
    const spans = array(Int32Array.of(1, 3, 5, 7), [2, 2]);
    expect([...unitsOf(json(text), 'spans', spans, [0])]).toEqual([0, 1, 1, 3, 4, 5, 5, 7]);
    expect([...unitsOf(json(text), 'tokens', null, [0])]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test.each([
    ['sum', [3, 3, NaN, NaN, -4]],
    ['mean', [1.5, 1.5, NaN, NaN, -4]],
    ['max', [2, 2, NaN, NaN, -4]],
  ] as const)('%s', (rule, expected) => {
    expect([...mergedValues(Float32Array.of(1, 2, 5, NaN, -4), Int32Array.of(0, 0, 2, 2, 4), rule)]).toEqual(expected);
  });

  test('max keeps the sign of the largest', () => {
    expect([...mergedValues(Float32Array.of(1, -3, 2), Int32Array.of(0, 0, 0), 'max')]).toEqual([-3, -3, -3]);
  });

  test('the scale of a sum reaches as far as the sums; of a mean it stays', () => {
    const units = Int32Array.of(0, 0, 2);
    const one = channel('a', [3, 3, -1], { scale: SIGNED, merge: 'sum' }) as ChannelJson;
    expect(mergedChannel(one, units).scale!.limits).toEqual([-6, 6]);
    expect(mergedChannel({ ...one, scale: EMBER as ChannelJson['scale'] }, units).scale!.limits).toEqual([-1, 6]);
    expect(mergedChannel({ ...one, merge: 'mean' }, units).scale!.limits).toEqual([-4, 4]);
  });
});

test('the key w merges words, then the given spans, and says so; a word is pointed at as one', async () => {
  const spans = array(Int32Array.of(0, 2), [1, 2]);
  await show(['un', 'like', ' b'], [1, 2, 4], { merge: 'sum', spans });
  token(0).focus();
  await userEvent.keyboard('w');
  expect(root.querySelector('header')!.textContent).toContain('sum of words');
  await vi.waitFor(() => expect(fill(0)).toBe(fill(1)));
  expect(marked('data-glued')).toEqual([0]);
  await userEvent.hover(token(1));
  expect(card()).toMatch(/^unlike position 1 · 2 tokens 3 nats sum of words/);
  expect(marked('data-hovered')).toEqual([0, 1]);
  await userEvent.keyboard('w');
  expect(root.textContent).toContain('sum of spans');
  await userEvent.keyboard('w');
  expect(root.textContent).not.toContain('sum of');
});

test('a merged word is spelled without the marks of its parts', async () => {
  await show([' un', 'bel', 'ie', '\u0301', 'va'], [1, 1, 1, 1, 1], {
    merged: 'words',
    merge: 'sum',
    tokens: { label: ['·un', '##bel', '##ie', '◌\u0301', '##va'] },
  });
  await userEvent.hover(token(1));
  expect(card()).toMatch(/^·unbelie\u0301va position 1 · 5 tokens/);
});

test('a merged word that holds bytes of a character is spelled as it is read', async () => {
  await show([' caf', 'é', '', '.'], [1, 1, 1, 1], {
    merged: 'words',
    merge: 'sum',
    tokens: {
      label: ['·caf', '⟨C3⟩', '⟨A9⟩', '.'],
      group: [0, 1, 1, 3],
      piece: ['', 'C3', 'A9', ''],
    },
  });
  await userEvent.hover(token(1));
  expect(card()).toMatch(/^·café\. position 1 · 4 tokens/);
});

// --- spans

test('a drag selects a span, also backwards; Shift-click and Shift-arrow extend it', async () => {
  await show(['a', ' b', ' c', ' d'], [1, 2, 3, 4]);
  const drag = (from: number, to: number) => userEvent.dragAndDrop(token(from), token(to));
  await drag(1, 3);
  expect(written.at(-1)).toMatchObject({ positions: [1, 2, 3] });
  expect(marked('data-span')).toEqual([1, 2, 3]);
  expect(marked('data-joined')).toEqual([1, 2]); // the line goes on to the next
  await drag(2, 0);
  expect(written.at(-1)).toMatchObject({ positions: [0, 1, 2] });
  await userEvent.click(token(1));
  expect(written.at(-1)).toMatchObject({ positions: [1] });
  await userEvent.keyboard('{Shift>}');
  await userEvent.click(token(2));
  expect(written.at(-1)).toMatchObject({ positions: [1, 2] });
  await userEvent.keyboard('{ArrowRight}{/Shift}');
  expect(written.at(-1)).toMatchObject({ positions: [1, 2, 3] });
  expect(root.activeElement).toBe(token(3));
});

test('of a span the card says sum and mean, of what was given also where words are merged; NaN is none of it', async () => {
  await show(['a', ' b', 'c', ' d'], [1, 2, 4, NaN], { merge: 'sum' });
  await userEvent.dragAndDrop(token(0), token(3));
  expect(card()).toContain('pinned: 3 tokens, sum 7, mean 2.333 nats');
  await userEvent.keyboard('w');
  expect(card()).toContain('pinned: 3 tokens, sum 7, mean 2.333 nats');
});

test('a span stays in the text where it began', async () => {
  await show(['a', ' b', ' c', 'd', ' e'], [1, 2, 3, 0, 1], TEXTS);
  await userEvent.dragAndDrop(token(1), token(4));
  expect(written.at(-1)).toMatchObject({ positions: [1, 2], texts: [0] });
});

// --- search

describe('find', () => {
  const text = json(['The', ' cat', ' s', 'at', '.', '\n', 'é', '', 'a', 'x']);
  text.group = [0, 1, 2, 3, 4, 5, 6, 6, 8, 9];

  test('text in any case, over the joints of tokens', () => {
    expect(find(text, 'SAT', false)).toEqual([[2, 3]]);
    expect(find(text, 'at', false)).toEqual([
      [1, 1],
      [3, 3],
    ]);
    expect(find(text, '.', false)).toEqual([[4, 4]]); // no expression
    expect(find(text, '', false)).toEqual([]);
  });

  test('an expression, by the line; one that matches nothing is no hit', () => {
    expect(find(text, '^.', true)).toEqual([
      [0, 0],
      [6, 7],
    ]);
    expect(find(text, 'z*', true)).toEqual([]);
    expect(() => find(text, '(', true)).toThrow(SyntaxError);
  });

  test('all bytes of a character, and never over the end of a text', () => {
    expect(find(text, 'é', false)).toEqual([[6, 7]]);
    expect(find(text, 'ax', false)).toEqual([[8, 9]]);
    expect(find(text, 'ax', false, [0, 9])).toEqual([]);
  });
});

test('/ opens the search; Enter jumps from hit to hit, Shift-Enter back, Esc closes', async () => {
  await show(['a', ' cat', ' b', ' c', 'at'], [1, 2, 3, 4, 0]);
  token(0).focus();
  await userEvent.keyboard('/');
  const input = root.querySelector<HTMLInputElement>('[role=search] input')!;
  expect(root.activeElement).toBe(input);
  await userEvent.keyboard('cat');
  const said = () => root.querySelector('[role=search] [aria-live]')!.textContent;
  expect(said()).toBe('2 hits');
  expect(marked('data-found')).toEqual([1, 3, 4]);
  await userEvent.keyboard('{Enter}');
  expect([said(), figure.hover.position]).toEqual(['1 of 2', 1]);
  await userEvent.keyboard('{Enter}');
  expect([said(), figure.hover.position]).toEqual(['2 of 2', 3]);
  await userEvent.keyboard('{Shift>}{Enter}{/Shift}');
  expect([said(), figure.hover.position]).toEqual(['1 of 2', 1]);
  await userEvent.keyboard('(');
  await userEvent.click(button('regular expression'));
  expect(said()).toMatch(/^no regular expression/);
  expect(input).toHaveAttribute('aria-invalid', 'true');
  await userEvent.click(input);
  await userEvent.keyboard('{Escape}');
  expect(root.querySelector('[role=search]')).toBeNull();
  expect(marked('data-found')).toEqual([]);
  expect(root.activeElement).toBe(token(0));
});

test('a jump brings a token on to the screen that was far from it, in a text of 10,000', async () => {
  const text = Array.from({ length: 10_000 }, (_, i) => (i === 9000 ? ' needle' : ' hay'));
  await show(text, null);
  token(0).focus();
  await userEvent.keyboard('/needle{Enter}');
  await vi.waitFor(() => {
    const box = token(9000).getBoundingClientRect();
    expect(box.top).toBeGreaterThanOrEqual(0);
    expect(box.bottom).toBeLessThanOrEqual(innerHeight);
  });
  expect(token(9000)).toHaveAttribute('data-hovered');
});

test('after a jump the card speaks of the hit, not of what the text was moved to below the pointer; the line stays', async () => {
  const text = Array.from({ length: 10_000 }, (_, i) => (i === 9000 ? ' needle' : ` hay${i}`));
  await show(text, text.map(Number.isNaN).map(Number));
  await userEvent.hover(token(40));
  expect(card()).toContain('·hay40');
  token(40).focus();
  await userEvent.keyboard('/needle{Enter}');
  const box = () => token(9000).getBoundingClientRect();
  await vi.waitFor(() => expect(Math.abs(box().top - innerHeight / 2)).toBeLessThan(100));
  await new Promise((done) => setTimeout(done, 300)); // the browser says where the pointer is now
  expect(figure.hover).toEqual({ position: 9000 });
  expect(card()).toContain('·needle');
  const line = root.querySelector('[role=search]')!.getBoundingClientRect();
  expect([line.top >= 0, line.bottom < innerHeight]).toEqual([true, true]);
  // a pointer that moves is followed again
  await userEvent.hover(token(8990));
  expect(card()).toContain('·hay8990');
});

// --- two texts

test('two texts side by side: the partner of a token is marked, and one without a partner is dashed', async () => {
  await show(['a', ' b', 'a', ' x', ' b'], [2, -1, 2, NaN, -1], {
    texts: { starts: [0, 2], labels: ['clean', 'corrupted'] },
    partners: array(Int32Array.of(2, 4, 0, -1, 1)),
    label: 'Δ log p',
    quantity: { name: 'Δ log p', unit: 'nats' },
    scale: SIGNED,
    more: [channel('loss', [1, 2, 3, 9, 1])],
  });
  const [left, right] = [...root.querySelectorAll('.row')].map((row) => row.getBoundingClientRect());
  expect(right.left).toBeGreaterThan(left.right);
  expect(right.top).toBe(left.top);
  await userEvent.hover(token(0));
  expect(marked('data-hovered')).toEqual([0, 2]);
  expect(card()).toMatch(/^a clean · position 0 .* 2 nats loss 1 beside a at 0 3$/);
  await userEvent.hover(token(3));
  expect(card()).toContain('no partner');
  expect(marked('data-alone')).toEqual([3]);
  expect(root.querySelector('footer')!.textContent).toContain(
    'Δ: corrupted minus clean · dashed: 1 token without a partner',
  );
});

test('a difference of one text says what is taken from what, as long as it is shown', async () => {
  const sides = [channel('intact', [1, 2, 3]), channel('L1H0 → zero', [3, 2, 1])];
  await show(['a', ' b', ' c'], [-2, 0, 2], { label: 'Δ log p', scale: SIGNED, more: sides, compared: true });
  const foot = () => root.querySelector('footer')!.textContent;
  expect(foot()).toContain('Δ: L1H0 → zero minus intact');
  await userEvent.click(button('intact'));
  expect(foot()).not.toContain('minus');
  await userEvent.click(button('all'));
  expect(foot()).toContain('Δ: L1H0 → zero minus intact');
});

test('one text cut by two tokenizers: all tokens that share its characters are marked, and their share is told', async () => {
  // "abc" as one token and "a", "bc"; "d" as itself.
  await show(['abc', 'd', 'a', 'bc', 'd'], [1, 0, -0.5, 0.5, 0], {
    texts: { starts: [0, 2], labels: ['one', 'other'] },
    partners: array(Int32Array.of(2, 4, 0, 0, 1)),
    partner_ends: array(Int32Array.of(3, 4, 0, 0, 1)),
    partner_values: array(Float64Array.of(5, 2, 2, 4, 2)),
    label: 'Δ log p',
    quantity: { name: 'Δ log p', unit: 'nats' },
    scale: SIGNED,
    more: [channel('loss', [6, 2, 1.5, 4.5, 2])],
  });
  await userEvent.hover(token(0));
  expect(marked('data-hovered')).toEqual([0, 2, 3]);
  expect(card()).toContain('beside a bc at 0–1 5');
  await userEvent.hover(token(3));
  expect(marked('data-hovered')).toEqual([0, 3]);
  expect(card()).toContain('beside abc at 0 4'); // two thirds of 6, not 6
});

test.each(['light', 'dark'])('axe finds nothing to complain about in %s', async (theme) => {
  document.body.style.background = theme === 'dark' ? '#111418' : '#ffffff';
  await show(['<s>', ' b', ' c', 'd', ' e'], [NaN, 2, 3, NaN, 1], {
    ...TEXTS,
    label: 'first',
    merge: 'sum',
    more: [channel('second', [1, 2, 3, 4, -4])],
    multiples: true,
    partners: array(Int32Array.of(3, 4, -1, 0, 1)),
  });
  token(0).focus();
  await userEvent.keyboard('/b');
  await userEvent.click(token(1));
  await settled();
  const { violations } = await axe.run(document.querySelector<HTMLElement>('.mechviz')!, {
    rules: { region: { enabled: false } }, // a view is a part of somebody's page
  });
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`)).toEqual([]);
});
