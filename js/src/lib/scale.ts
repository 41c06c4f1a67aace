/** Value scales for components: limits from data, colours that follow the theme. */
import { colorAt, css, lut, textOn, type Lut, type Ramp } from '../color';
import { foregroundOf } from '../parts/tokentext';
import { position, type Scale } from '../scale';
import { getFigure } from './figure';

/** Limits of a ramp for data: from 0 to the largest value, symmetric round zero for "signed"; NaN is left out. */
export function limitsOf(values: Iterable<number> | { data: Iterable<number> }, ramp: Ramp = 'ink'): [number, number] {
  let [low, high] = [0, 0];
  for (const value of 'data' in values ? values.data : values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const size = Math.max(-low, high);
  if (ramp === 'signed') return size ? [-size, size] : [-1, 1];
  return low < high ? [low, high] : [0, 1];
}

export interface ColorScale {
  readonly scale: Scale;
  /** The fill of a value: "rgb(…)"; transparent for NaN. */
  fill(value: number): string;
  /** A text colour that reads on that fill. */
  text(value: number): string;
}

/** Colours of a scale in the figure's theme; call it while a component is being set up. */
export function colorScale(given: Scale | (() => Scale)): ColorScale {
  const figure = getFigure();
  const scale = typeof given === 'function' ? given : () => given;
  let cache: { key: string; table: Lut } | undefined;
  const table = () => {
    const key = `${figure.theme} ${scale().ramp}`; // reading the theme is what makes a template follow it
    if (cache?.key !== key) cache = { key, table: lut(figure.host, scale().ramp) };
    return cache.table;
  };
  const color = (value: number) => colorAt(table(), position(scale(), value));
  return {
    get scale() {
      return scale();
    },
    fill: (value) => (Number.isNaN(value) ? 'transparent' : css(color(value))),
    text: (value) => (Number.isNaN(value) ? 'inherit' : css(textOn(color(value), foregroundOf(figure.host)))),
  };
}
