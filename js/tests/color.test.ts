import { afterEach, expect, test } from 'vitest';
import { colorAt, contrast, css, indexAt, luminance, lut, parseColor, textOn, type Ramp, type Rgb } from '../src/color';
import tokens from '../src/tokens.css?raw';

const RAMPS: Ramp[] = ['ink', 'ember', 'signed'];
const THEMES = ['light', 'dark'] as const;

/** An element with the design tokens of a theme, as mountFigure makes it. */
function host(theme: string): HTMLElement {
  const element = document.createElement('div');
  element
    .attachShadow({ mode: 'open' })
    .append(Object.assign(document.createElement('style'), { textContent: tokens }));
  element.dataset.theme = theme;
  document.body.append(element);
  return element;
}
afterEach(() => document.body.replaceChildren());

const token = (element: Element, name: string) =>
  parseColor(getComputedStyle(element).getPropertyValue(`--mv-${name}`)) as Rgb;

test.each(THEMES.flatMap((theme) => RAMPS.map((ramp) => [theme, ramp] as const)))(
  'text on every colour of %s %s has 4.5:1 at least',
  (theme, ramp) => {
    const element = host(theme);
    const foreground = token(element, 'fg');
    const colors = lut(element, ramp).rgb;
    expect(colors).toHaveLength(256);
    const contrasts = colors.map((color) => contrast(color, textOn(color, foreground)));
    expect(Math.min(...contrasts)).toBeGreaterThanOrEqual(4.5);
    // The rule is needed: with one text colour alone, no ramp would be readable throughout.
    for (const only of [foreground, [0, 0, 0], [255, 255, 255]] as Rgb[]) {
      expect(Math.min(...colors.map((color) => contrast(color, only)))).toBeLessThan(4.5);
    }
  },
);

test.each(THEMES)('in %s, zero is the plate and the arms of the signed scale are ink and ember', (theme) => {
  const element = host(theme);
  const [ink, ember, signed] = RAMPS.map((ramp) => lut(element, ramp).rgb);
  expect(ink[0]).toEqual(token(element, 'plate'));
  expect(ember[0]).toEqual(token(element, 'plate'));
  expect(ink[255]).toEqual(token(element, 'ink-8'));
  expect(signed[0]).toEqual(ember[255]);
  expect(signed[255]).toEqual(ink[255]);
  // An even number of colours has no middle one: the two beside zero are within a few steps of the plate.
  for (const k of [127, 128]) signed[k].forEach((c, i) => expect(Math.abs(c - ink[0][i])).toBeLessThanOrEqual(4));
  // Sequential ramps rise or fall in lightness throughout, so they can be read in grey.
  for (const ramp of [ink, ember]) {
    const steps = ramp.slice(1).map((color, k) => Math.sign(luminance(color) - luminance(ramp[k])));
    expect(new Set(steps.filter((s) => s !== 0))).toEqual(new Set([theme === 'light' ? -1 : 1]));
  }
});

test('the ramps of the two themes differ', () => {
  expect(lut(host('light'), 'ink').rgb[0]).not.toEqual(lut(host('dark'), 'ink').rgb[0]);
});

test('packed colours are what ImageData wants: red first in memory, opaque', () => {
  const table = lut(host('light'), 'ink');
  expect([...new Uint8Array(table.packed.buffer, 4 * 200, 4)]).toEqual([...table.rgb[200], 255]);
});

test('a share of the scale is clamped to its ends', () => {
  expect([-Infinity, -1, 0, 0.5, 1, 2, Infinity].map(indexAt)).toEqual([0, 0, 0, 128, 255, 255, 255]);
  const table = lut(host('light'), 'ink');
  expect(colorAt(table, 2)).toEqual(table.rgb[255]);
});

test('contrast is that of WCAG: 21 for black on white, 1 for a colour on itself', () => {
  expect(contrast([0, 0, 0], [255, 255, 255])).toBeCloseTo(21);
  expect(contrast([9, 99, 199], [9, 99, 199])).toBe(1);
  // #767676 is the well-known lightest grey with 4.54:1 on white.
  expect(contrast([0x76, 0x76, 0x76], [255, 255, 255])).toBeCloseTo(4.54, 2);
});

test.each([
  ['#16191d', [22, 25, 29]],
  [' #fff', [255, 255, 255]],
  ['rgb(1, 2, 3)', [1, 2, 3]],
  ['rgb(1 2 3)', [1, 2, 3]],
  ['rgba(1, 2, 3, 0.5)', [1, 2, 3]],
  ['rgba(0, 0, 0, 0)', null],
  ['rgba(0, 0, 0, 0.04)', null], // a shade on a light ground is no dark ground
  ['transparent', null],
  ['CanvasText', null],
  ['', null],
])('%s is %j', (text, color) => expect(parseColor(text)).toEqual(color));

test('a colour is written as CSS reads it', () => expect(css([1, 2, 3])).toBe('rgb(1 2 3)'));
