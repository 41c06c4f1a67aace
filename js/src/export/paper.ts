/** A figure as it is printed: a mode of the figure, which its frame and its views read. */
import css from './paper.css?inline';

/** What Python asks for (mechviz/export.py). */
export interface Paper {
  width_mm: number;
  ground: 'white' | 'transparent';
  /** Title and provenance as text below. */
  caption: boolean;
}

/** CSS pixels to the millimetre, and of ground on every side; mechviz/export.py has the same. */
export const PX_PER_MM = 96 / 25.4 / 0.75;
export const PAPER_MARGIN = 4;
/** From here on, 4.5 mm, a cell has room for its number. */
export const ROOMY_CELL = 4.5 * PX_PER_MM;

export const PAPER_STYLE = css;

/** What of a figure paper changes. */
interface Printable {
  host: HTMLElement;
  paper: Paper | undefined;
  /** Light on paper, whatever the host's. */
  readonly theme: string;
}

/** Put a figure on paper, or take it off again (undefined). */
export function setPaper(figure: Printable, paper: Paper | undefined): void {
  const { host } = figure;
  if (paper) {
    host.dataset.paper = paper.ground;
    host.style.width = `${Math.round(paper.width_mm * PX_PER_MM) - 2 * PAPER_MARGIN}px`;
  } else {
    delete host.dataset.paper;
    host.style.width = '';
  }
  figure.paper = paper;
  host.dataset.theme = figure.theme;
}
