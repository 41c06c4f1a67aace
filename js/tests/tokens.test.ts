import axe from 'axe-core';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { page, userEvent } from 'vitest/browser';
import { contrast, parseColor, type Rgb } from '../src/color';
import { svgPicture } from '../src/export/picture';
import type { Figure } from '../src/figure.svelte';
import type { Selection } from '../src/selection';
import { random } from './random';
import { channel, mountTokens } from './tokenview';

let abort: AbortController;
let root: ShadowRoot;
let figure: Figure;
let written: Selection[];

beforeEach(async () => {
  await page.viewport(1000, 800);
  // The mouse of the last test would point at the tokens of the next.
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

const token = (i: number) => root.querySelector<HTMLElement>(`[data-i="${i}"]`)!;
const card = () => root.querySelector('.card');
const color = (element: Element, property: 'color' | 'backgroundColor') =>
  parseColor(getComputedStyle(element)[property]);
const ground = (theme: string) => (theme === 'dark' ? '#111418' : '#ffffff');
const settled = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));

test('a token shows its place, id and exact value in the margin, and leaves nothing behind', async () => {
  await show(['When', ' Mary', ' ran'], [0.5, 2.4113927, NaN]);
  expect(card()).toBeNull();
  const before = root.querySelector('footer')!.getBoundingClientRect().top;
  await userEvent.hover(token(1));
  expect(card()!.textContent).toMatch(/·Mary\s*position 1 · id 101 · 5 bytes\s*2.411 nats 2.4113927/);
  // The card stands beside the text, tied to the foot of its token.
  const [text, box] = [token(1).getBoundingClientRect(), card()!.getBoundingClientRect()];
  expect(box.left).toBeGreaterThan(root.querySelector('.text')!.getBoundingClientRect().right);
  const tie = root.querySelector('.tie')!.getBoundingClientRect();
  expect(tie.top).toBeGreaterThanOrEqual(text.bottom);
  expect(tie.top - text.bottom).toBeLessThan(5);
  expect([tie.left, tie.right]).toEqual([text.left, box.left]);
  await userEvent.hover(token(2));
  expect(card()!.textContent).toContain('no value (NaN)');
  await userEvent.unhover(token(2));
  await vi.waitFor(() => expect(card()).toBeNull());
  expect(root.querySelector('footer')!.getBoundingClientRect().top).toBe(before);
});

test('the hovered value is a tick on the bar, whose limits are printed', async () => {
  await show(['a', ' b'], [1, 4]);
  const bar = root.querySelector('figure')!;
  expect(bar.textContent).toMatch(/loss, nats/);
  expect([...bar.querySelectorAll('text')].map((t) => t.textContent)).toEqual(expect.arrayContaining(['0', '4']));
  expect(bar.querySelector('.value')).toBeNull();
  await userEvent.hover(token(0));
  // A quarter of 150 px, less half of the tick's 2 px.
  expect(Number(bar.querySelector('.value')!.getAttribute('x'))).toBeCloseTo(150 / 4 - 1);
});

test('a click pins, another unpins, Ctrl adds, Escape lets go; Python sees it', async () => {
  await show(['a', ' b', ' c'], [1, 2, 3]);
  await userEvent.click(token(1));
  expect(written.at(-1)).toMatchObject({ positions: [1], queries: [1] });
  expect(token(1)).toHaveAttribute('data-pinned');
  expect(token(1).ariaSelected).toBe('true');
  await userEvent.keyboard('{Control>}');
  await userEvent.click(token(2));
  await userEvent.keyboard('{/Control}');
  expect(written.at(-1)).toMatchObject({ positions: [1, 2] });
  await userEvent.hover(token(0));
  expect(card()!.textContent).toMatch(/pinned.*·b.*1.*2.*·c.*2.*3/s);
  await userEvent.click(token(0));
  expect(written.at(-1)).toMatchObject({ positions: [0] });
  await userEvent.click(token(0));
  expect(written.at(-1)).toMatchObject({ positions: [] });
  await userEvent.click(token(2));
  await userEvent.keyboard('{Escape}');
  expect(written.at(-1)).toMatchObject({ positions: [] });
  expect(root.querySelector('[data-pinned]')).toBeNull();
});

test('what Python and other views of the figure point at is shown; positions that do not exist are not', async () => {
  await show(['a', ' b', ' c'], [1, 2, 3]);
  figure.receive({ positions: [2, 99, -1] });
  figure.hover = { position: 1 };
  await settled();
  expect(root.querySelectorAll('[data-pinned]')).toHaveLength(1);
  expect(token(2)).toHaveAttribute('data-pinned');
  expect(token(1)).toHaveAttribute('data-hovered');
  expect(card()!.querySelector('h4')!.textContent).toBe('·b');
  figure.hover = { layer: 1 };
  await settled();
  expect(root.querySelector('[data-hovered]')).toBeNull();
  expect(card()!.querySelector('h4')!.textContent).toBe('·c');
});

test('one stop of the Tab key, then arrows by token and by line, Home, End, Enter', async () => {
  await show(['aa', ' bb', '\n', 'cc', ' dd'], [1, 2, 3, 4, 5]);
  await userEvent.tab(); // "Export"
  await userEvent.tab();
  const focused = () => (root.activeElement as HTMLElement).dataset.i;
  expect(focused()).toBe('0');
  expect((root.activeElement as HTMLElement).ariaLabel).toBe('aa, position 0, loss 1 nats');
  for (const [key, at] of [
    ['ArrowRight', 1],
    ['ArrowDown', 4],
    ['ArrowUp', 1],
    ['ArrowLeft', 0],
    ['ArrowLeft', 0],
    ['End', 4],
    ['Home', 0],
  ] as const) {
    await userEvent.keyboard(`{${key}}`);
    await vi.waitFor(() => expect(focused()).toBe(String(at)));
    expect(figure.hover.position).toBe(at);
  }
  await userEvent.keyboard('{ArrowRight}{Enter}');
  expect(written.at(-1)).toMatchObject({ positions: [1] });
  await userEvent.keyboard('{ArrowRight}{Shift>}{Enter} {/Shift}'); // Shift-Enter is the notebook's
  expect(written).toHaveLength(2);
  expect(written.at(-1)).toMatchObject({ positions: [1, 2] });
  expect(root.querySelectorAll('[tabindex="0"]')).toHaveLength(1);
  expect(getComputedStyle(root.activeElement!).outlineStyle).toBe('solid');
  await userEvent.tab();
  expect(figure.hover).toEqual({});
  for (const button of ['/ search', 'w words', '? all keys']) {
    expect((root.activeElement as HTMLElement).textContent).toBe(button);
    await userEvent.tab();
  }
  expect(root.activeElement).toBeNull();
});

test('in text from the right the arrows follow the eye', async () => {
  await show(['שלום', ' עולם'], [1, 2]);
  expect(token(1).getBoundingClientRect().right).toBeLessThanOrEqual(token(0).getBoundingClientRect().left);
  token(0).focus();
  await userEvent.keyboard('{ArrowLeft}');
  await vi.waitFor(() => expect((root.activeElement as HTMLElement).dataset.i).toBe('1'));
});

test('the key m marks every space, and no key leaves the view that it works in', async () => {
  await show(['a', ' b'], null);
  const outside = vi.fn();
  document.addEventListener('keydown', outside);
  await userEvent.click(token(0));
  await userEvent.keyboard('m{ArrowRight}{Enter}');
  expect(token(1).textContent).toBe('·b');
  expect(outside).not.toHaveBeenCalled();
  await userEvent.keyboard('x');
  expect(outside).toHaveBeenCalledOnce();
  document.removeEventListener('keydown', outside);
});

test('bytes of one character: one glyph, a hit area and a name for each', async () => {
  await show([' caf', '☕', '', '', '!'], [0, 1, 2, 4, 0], {
    tokens: {
      label: ['·caf', '⟨E2⟩', '⟨98⟩', '⟨95⟩', '!'],
      group: [0, 1, 1, 1, 4],
      piece: ['', 'E2', '98', '95', ''],
    },
  });
  const boxes = [1, 2, 3].map((i) => token(i).getBoundingClientRect());
  expect(boxes[0].right).toBeCloseTo(boxes[1].left, 1);
  expect(boxes[1].right).toBeCloseTo(boxes[2].left, 1);
  for (const [k, box] of boxes.entries()) {
    expect(box.width).toBeGreaterThanOrEqual(8);
    expect(root.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2)).toBe(token(k + 1));
  }
  await userEvent.hover(token(3));
  expect(card()!.querySelector('h4')!.textContent).toBe('byte 95 of ☕');
  // What is copied holds the character once.
  const copies = [...root.querySelectorAll('.glyph')];
  expect(copies.map((glyph) => getComputedStyle(glyph).userSelect)).toEqual(['auto', 'none', 'none']);
});

test.each(['light', 'dark'])('in %s, text reads on every colour of every scale, and on a hatch', async (theme) => {
  document.body.style.background = ground(theme);
  for (const ramp of ['ink', 'ember', 'signed']) {
    const values = Array.from({ length: 256 }, (_, i) => (ramp === 'signed' ? i / 127.5 - 1 : i / 255));
    const text = values.map(() => ' x');
    await show([...text, ' nan'], [...values, NaN], { scale: { ramp, limits: [ramp === 'signed' ? -1 : 0, 1] } });
    const [backgrounds, contrasts] = [new Set<string>(), []] as [Set<string>, number[]];
    for (let i = 0; i < 256; i++) {
      const fill = color(token(i), 'backgroundColor') as Rgb;
      backgrounds.add(fill.join());
      contrasts.push(contrast(fill, color(token(i), 'color') as Rgb));
    }
    expect(Math.min(...contrasts)).toBeGreaterThanOrEqual(4.5);
    expect(backgrounds.size).toBeGreaterThan(200); // the whole scale was there to be measured
    const stripe = /color\(srgb ([\d.]+) ([\d.]+) ([\d.]+)\)/.exec(getComputedStyle(token(256)).backgroundImage)!;
    const hatch = stripe.slice(1).map((c) => 255 * Number(c)) as Rgb;
    expect(contrast(hatch, color(token(256), 'color') as Rgb)).toBeGreaterThanOrEqual(4.5);
    abort.abort();
  }
});

test.each([
  ['all equal', [3, 3, 3], 'all values equal 3 nats'],
  ['all zero', [0, 0, 0], 'all values equal 0 nats'],
  ['all NaN', [NaN, NaN, NaN], 'hatched: 3 tokens without a value'],
  ['beyond the limits', [1, 9, Infinity], 'bar on top: 2 tokens above 4 nats'],
  ['equal beside NaN', [0.5, NaN, 0.5], 'all other values equal 0.5 nats · hatched: 1 token without a value'],
])('%s: said at the foot, and readable', async (_, values, note) => {
  await show(['a', ' b', ' c'], values);
  expect(root.querySelector('.note')!.textContent).toBe(note);
  for (const i of [0, 1, 2]) {
    const fill = color(token(i), 'backgroundColor') ?? [255, 255, 255];
    expect(contrast(fill as Rgb, color(token(i), 'color') as Rgb)).toBeGreaterThanOrEqual(4.5);
  }
});

test('the mean is that of the finite values', async () => {
  await show(['a', ' b', ' c', ' d'], [1, NaN, 2.5, Infinity]);
  expect(root.querySelector('.text .small')!.textContent).toBe('mean 1.750 nats over 2 tokens with a finite value');
});

test('without values neighbours differ and there is no bar', async () => {
  await show(['a', ' b', ' c'], null);
  expect(color(token(0), 'backgroundColor')).not.toEqual(color(token(1), 'backgroundColor'));
  expect(color(token(0), 'backgroundColor')).toEqual(color(token(2), 'backgroundColor'));
  expect(root.querySelector('figure')).toBeNull();
  await userEvent.hover(token(1));
  expect(card()!.textContent).toContain('position 1');
});

test('a special token is a chip with its own name and no fill without a value', async () => {
  const tokens = { special: [true, false], role: ['BOS', null], label: ['<|endoftext|>', 'a'] };
  await show(['<|endoftext|>', 'a'], [NaN, 1], { tokens });
  expect(token(0).textContent).toBe('<|endoftext|>');
  expect(color(token(0), 'backgroundColor')).toBeNull();
  expect(getComputedStyle(token(0)).backgroundImage).toBe('none');
  expect(root.querySelector('.note')!.textContent).toBe('');
});

test('lines break before tokens only: no fill is torn, at any width', async () => {
  const next = random(5);
  const text = Array.from({ length: 300 }, () => [' word', 'ing', '.', ' a', ' tokenization'][Math.floor(next() * 5)]);
  for (const width of [600, 900, 1400]) {
    await page.viewport(width, 800);
    await show(text, null);
    const torn = text.filter((_, i) => token(i).getClientRects().length > 1);
    expect(torn).toEqual([]);
    const box = root.querySelector('.text')!.getBoundingClientRect();
    expect(Math.max(...text.map((_, i) => token(i).getBoundingClientRect().right))).toBeLessThanOrEqual(box.right + 1);
    expect(document.documentElement.scrollWidth).toBeLessThanOrEqual(width);
    abort.abort();
  }
});

test('a run without spaces and a token longer than a line stay inside', async () => {
  await page.viewport(600, 800);
  await show(['The', ...Array.from({ length: 200 }, () => 'ab'), '='.repeat(500)], null);
  expect(document.documentElement.scrollWidth).toBeLessThanOrEqual(600);
});

test('in a narrow view the card has its place below the text, and nothing moves', async () => {
  await page.viewport(600, 800);
  await show(['a', ' b'], [1, 2]);
  expect(root.querySelector('.empty')!.checkVisibility()).toBe(true);
  const before = root.querySelector('footer')!.getBoundingClientRect().top;
  await userEvent.hover(token(1));
  expect(card()!.getBoundingClientRect().top).toBeGreaterThan(token(1).getBoundingClientRect().bottom);
  expect(root.querySelector('.tie')!.checkVisibility()).toBe(false);
  expect(root.querySelector('footer')!.getBoundingClientRect().top).toBe(before);
});

test('hostile tokens end as text', async () => {
  const hostile = [
    '</script><script>window.pwned=1</script>',
    '<img src=x onerror="window.pwned=1">',
    '"><svg onload=window.pwned=1>',
    "{@html '<b>'}",
    'javascript:window.pwned=1',
    '⟨U+0000⟩',
  ];
  await show(hostile, [1, 2, 3, 4, 5, 6], {
    frame: { title: hostile[1], provenance: hostile, edits: [hostile[2]] },
    quantity: { name: hostile[0], unit: hostile[2] },
  });
  for (const [i, text] of hostile.entries()) {
    expect(token(i).textContent).toBe(text);
    await userEvent.hover(token(i));
    expect(card()!.querySelector('h4')!.textContent).toBe(text);
  }
  await settled();
  expect((window as { pwned?: number }).pwned).toBeUndefined();
  expect(root.querySelector('img, script, figure svg svg, b:not(p b)')).toBeNull();
});

test('10,000 tokens: the text of every one is there, tokens where they are looked at; the pointer touches two', async () => {
  const next = random(7);
  const text = Array.from({ length: 10_000 }, () => [' the', ' cat', '.', '\n', 'ing'][Math.floor(next() * 5)]);
  await show(text, text.map(next));
  expect(root.querySelector('[role=listbox]')!.textContent!.replace(/[↵\n]/g, '').length).toBe(
    text.join('').replaceAll('\n', '').length,
  );
  expect(root.querySelectorAll('[data-i]').length).toBeLessThan(5000);
  root.querySelector('[role=listbox]')!.lastElementChild!.scrollIntoView();
  await vi.waitFor(() => expect(token(9_999)).toBeTruthy());
  // A token that is picked is made wherever it stands.
  token(9_999).focus();
  await userEvent.keyboard('{Home}');
  await vi.waitFor(() => expect((root.activeElement as HTMLElement).dataset.i).toBe('0'));
  await userEvent.keyboard('{End}');
  await vi.waitFor(() => expect((root.activeElement as HTMLElement).dataset.i).toBe('9999'));
  // Moving the pointer changes the token that it leaves and the one that it enters, and no other.
  await settled();
  const touched = new Set<Node>();
  const watch = new MutationObserver((changes) => changes.forEach(({ target }) => touched.add(target)));
  watch.observe(root.querySelector('[role=listbox]')!, { subtree: true, attributes: true, childList: true });
  for (let k = 0; k < 20; k++) {
    token(k).dispatchEvent(new PointerEvent('pointerover', { bubbles: true }));
    await settled();
  }
  expect(token(19)).toHaveAttribute('data-hovered');
  expect(touched.size).toBeLessThanOrEqual(21);
});

test('of a block that is half on the screen the tokens that are seen take new colours at once, whichever half it is', async () => {
  const n = 3000;
  const all = (value: number) => Array<number>(n).fill(value);
  await show(Array(n).fill(' word'), all(1), { more: [channel('two', all(-2)), channel('three', all(3))] });
  const of = [...root.querySelector('.block')!.querySelectorAll<HTMLElement>('[data-i]')];
  /** Tokens of the block that stand where the window is, with 60 px to spare; and far from it. */
  const near = (i: number, far: number) => {
    const { top, bottom } = token(i).getBoundingClientRect();
    return bottom > -far && top < innerHeight + far;
  };
  let key = 2;
  for (const place of ['end', 'start'] as const) {
    (place === 'end' ? of[200] : of.at(-200)!).scrollIntoView({ block: place });
    await new Promise((done) => setTimeout(done, 300)); // who is seen is told after a frame
    const shown = of.map((_, i) => i).filter((i) => near(i, 40));
    const away = of.map((_, i) => i).filter((i) => !near(i, 100));
    expect(Math.min(shown.length, away.length)).toBeGreaterThan(100);
    const before = token(0).style.backgroundColor;
    root.querySelector<HTMLElement>('[data-i][tabindex="0"]')!.focus({ preventScroll: true });
    await userEvent.keyboard(String(key++));
    await settled();
    expect(shown.filter((i) => token(i).style.backgroundColor === before)).toEqual([]);
    expect(away.filter((i) => token(i).style.backgroundColor !== before)).toEqual([]);
    // what comes near takes its colours then, and at rest all have them
    await vi.waitFor(() => expect(of.filter((one) => one.style.backgroundColor === before)).toEqual([]));
  }
});

test('of a long text what is seen takes new colours at once, the rest when nothing changes for a moment or a picture is taken', async () => {
  const n = 6000;
  const all = (value: number) => Array<number>(n).fill(value);
  await show(Array(n).fill(' word'), all(1), { more: [channel('two', all(-2)), channel('three', all(3))] });
  const list = root.querySelector('[role=listbox]')!;
  list.lastElementChild!.scrollIntoView();
  await vi.waitFor(() => expect(token(n - 1)).toBeTruthy());
  await new Promise((done) => setTimeout(done, 300)); // who is seen is told after a frame
  const colors = () => [0, n - 1].map((i) => token(i).style.backgroundColor);
  const [first, last] = colors();
  expect(first).toBe(last);
  token(n - 1).focus();
  await userEvent.keyboard('2');
  await settled();
  expect(colors()[0]).toBe(first);
  expect(colors()[1]).not.toBe(last);
  await vi.waitFor(() => expect(colors()[0]).toBe(colors()[1]));
  await userEvent.keyboard('3');
  svgPicture(figure);
  expect(colors()[0]).toBe(colors()[1]);
});

test.each(['light', 'dark'])('axe finds nothing to complain about in %s', async (theme) => {
  document.body.style.background = ground(theme);
  await show(['<|bos|>', 'When', ' Mary', 'é', '', '\n', ' ran'], [NaN, 1, 2, 3, 9, NaN, 0], {
    tokens: {
      special: [true, false, false, false, false, false, false],
      group: [0, 1, 2, 3, 3, 5, 6],
      piece: ['', '', '', 'C3', 'A9', '', ''],
      label: ['<|bos|>', 'When', '·Mary', '⟨C3⟩', '⟨A9⟩', '↵', '·ran'],
    },
  });
  await userEvent.click(token(2));
  await userEvent.hover(token(4));
  await settled();
  const { violations } = await axe.run(document.querySelector<HTMLElement>('.mechviz')!, {
    rules: { region: { enabled: false } }, // a view is a part of somebody's page
  });
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`)).toEqual([]);
});
