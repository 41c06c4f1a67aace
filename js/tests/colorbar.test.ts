/** The colour bar of a view stays on its ground: what stands under its left end, and above it. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { page } from 'vitest/browser';
import { PAPER_MARGIN, setPaper } from '../src/export/paper';
import { mountTokens, SIGNED } from './tokenview';

let abort: AbortController;

beforeEach(() => (abort = new AbortController()));
afterEach(() => {
  abort.abort();
  document.body.replaceChildren();
});

const mount = async (more: Record<string, unknown>) => {
  const { figure, root } = await mountTokens(['a', ' b'], [-1, 2], { scale: SIGNED, ...more }, abort.signal);
  return { figure, root, box: (selector: string) => root.querySelector(selector)!.getBoundingClientRect() };
};

test.each([
  ['0', { ramp: 'ember', limits: [0, 4] }],
  ['−1', { ramp: 'signed', limits: [-1, 1] }],
  ['−0.25', { ramp: 'signed', limits: [-0.25, 0.25] }],
])('%s under the left end of the bar is on the paper', async (text, scale) => {
  const { figure, root, box } = await mount({ scale });
  setPaper(figure, { width_mm: 84, ground: 'white' } as Parameters<typeof setPaper>[1]);
  await vi.waitFor(() => expect(root.querySelector('footer figure')).not.toBeNull());
  expect(root.querySelector('figure text')!.textContent).toBe(text);
  expect(box('figure text').left).toBeGreaterThan(figure.host.getBoundingClientRect().left - PAPER_MARGIN);
});

test.each([700, 1200])(
  'a quantity with a long name is shortened, and leaves the title its room: %i px',
  async (width) => {
    await page.viewport(width, 600);
    const name = 'a quantity with a long name '.repeat(10).trim();
    const { figure, root, box } = await mount({ quantity: { name, unit: '' } });
    const caption = root.querySelector<HTMLElement>('figcaption')!;
    expect(caption.scrollWidth).toBeGreaterThan(caption.clientWidth);
    expect(caption.title).toContain(name);
    const ground = figure.host.getBoundingClientRect();
    expect(box('figcaption').right).toBeLessThanOrEqual(ground.right);
    expect(box('h3').width).toBeGreaterThan(0.3 * ground.width);
    // On paper, too.
    setPaper(figure, { width_mm: 84, ground: 'white' } as Parameters<typeof setPaper>[1]);
    await vi.waitFor(() => expect(root.querySelector('footer figure')).not.toBeNull());
    expect(box('figcaption').right).toBeLessThanOrEqual(figure.host.getBoundingClientRect().right);
  },
);

test('one with a short name is as wide as it is long', async () => {
  await page.viewport(1200, 600);
  const { root } = await mount({ quantity: { name: 'attention probability × ‖v‖, square root', unit: '' } });
  const caption = root.querySelector<HTMLElement>('figcaption')!;
  expect(caption.scrollWidth).toBe(caption.clientWidth);
});
