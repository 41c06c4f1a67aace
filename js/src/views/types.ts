import type { Figure } from '../figure.svelte';
import type { Change } from '../selection';

/** What every view component is given: its id within the figure, its props from Python, and the figure. */
export interface ViewProps {
  id: string;
  props: Record<string, unknown>;
  figure: Figure;
}

/** Token text as Python's `Tokens.to_props()` sends it; one entry a position in each list. */
export interface TokensJson {
  /** Unambiguous labels: `·` for a leading space, `⟨F0 9F⟩` for bytes. */
  label: string[];
  /** Prose; a character split over several tokens belongs to the first. */
  text: string[];
  /** Tokens that share a character share the index of its first token. */
  group: number[];
  special: boolean[];
  role: (string | null)[];
  ids: number[] | null;
  /** Hex bytes of a token that holds part of a character, else "". */
  piece: string[];
  /** Positions before the model's answer, where there is one. */
  prompt?: number | null;
  /** Stretches of tokens that are patches of an image, row by row; none where it is all text. */
  patches?: [start: number, rows: number, columns: number][];
}

/** The axes that a note is about, as of a selection; none: the whole picture. */
export interface Note {
  text: string;
  at: Change;
}

/** The head of a view as Python sends it (mechviz/view.py). */
export interface FrameJson {
  title: string;
  /** "L1H0": follows the title in a lighter face. */
  site?: string;
  /** model · weights · text · tokens, BOS · dtype, in this order. */
  provenance: string[];
  /** Edits under which the numbers were made; each is a badge. */
  edits: string[];
  /** What somebody wrote into the picture, and what of it each is about. */
  notes?: Note[];
  /** All that is known of where the numbers come from, for files; older figures have none. */
  made?: { mechviz: string; provenance: Record<string, unknown> };
}
