/** The figure that a user's component is part of, through Svelte's context: nothing hangs on `window`. */
import { getContext, setContext } from 'svelte';
import type { Figure } from '../figure.svelte';

const KEY = Symbol('mechviz figure');

export function shareFigure(figure: Figure): void {
  setContext(KEY, figure);
}

/**
 * The figure, while a component is being set up: `figure.selection` and `figure.hover` are reactive and shared with all
 * its views, `figure.pick({ positions: [3] })` is a click that Python hears of, `figure.theme` is "light" or "dark".
 */
export function getFigure(): Figure {
  return getContext<Figure>(KEY);
}
