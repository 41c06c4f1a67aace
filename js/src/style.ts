/** What `mv.style` has set for a figure (mechviz/style.py). */
import type { Curve } from './scale';
import { setWords } from './words';

export interface StyleJson {
  theme?: 'light' | 'dark';
  /** Lists of fonts, as CSS has them. */
  sans?: string;
  mono?: string;
  /** How scales are bent at first. */
  curve?: Curve;
  /** Every space of token text is marked at first. */
  spaces?: boolean;
  words?: Record<string, string>;
}

/** Fonts, words and, where the theme is not the host's, a ground of the figure's own. */
export function applyStyle(host: HTMLElement, style: StyleJson): void {
  for (const role of ['sans', 'mono'] as const) {
    if (style[role]) host.style.setProperty(`--mv-${role}`, style[role]);
  }
  if (style.words) setWords(style.words);
  if (!style.theme) return;
  host.style.setProperty('--jp-layout-color0', 'initial');
  host.style.background = 'var(--mv-ground)';
  host.style.padding = '12px 16px';
}
