/** What mechviz/views/attention.py sends: a sheet for every stack and text, one of which is shown at a time. */
import { LazyArray } from '../figure.svelte';
import type { OpeningJson } from './attentionreading.svelte';
import type { WeighJson } from './keyweights.svelte';
import type { SpansJson } from './mergedtokens';
import type { Head } from './headgrid';
import type { OverJson, RolesJson, ScoresJson } from './headscores';
import type { HeadValues } from './openhead.svelte';
import type { ImageJson } from './patches';
import type { Total } from './rowreadout';
import type { Scale } from '../scale';
import type { Selection } from '../selection';
import type { NdArray } from '../wire';
import type { FrameJson, TokensJson } from '../views/types';

export interface AttentionProps {
  frame: FrameJson;
  tokens: TokensJson;
  /** Where keys are other tokens than queries. */
  key_tokens: TokensJson | null;
  heads: HeadJson[];
  /** Names beside the rows of the grid, and over its columns. */
  rows: string[];
  columns: string[];
  /** [head, row, column], each cell the largest of `thumb_step` × `thumb_step` weights; null for a single head. */
  thumbs: NdArray | LazyArray | null;
  thumb_step: number;
  /** Heads stay in the kernel, thumbnails and peaks come from there. */
  remote?: boolean;
  /** Why a row of the grid has no heads; null where all have some. */
  reasons: (string | null)[] | null;
  /**
   * The largest size of a weight, by head; under a causal mask without the first query, which has only itself to read.
   * Null while heads stay in the kernel.
   */
  peaks: NdArray | LazyArray | null;
  /** Null where rows are no probabilities. */
  scores: ScoresJson | null;
  /** Null of one text, or where texts have not the same heads. */
  over?: OverJson | null;
  roles: RolesJson | null;
  /** What heads read from role to role in this text, [head, reads, is read]. */
  role_weights?: NdArray | LazyArray;
  causal: boolean;
  /** The last key is the sink of the heads. */
  sink?: boolean;
  /** No query reads from a key behind it, but for the sink. */
  sink_masked?: boolean;
  /** Spans of queries and keys; null where none are given. */
  spans?: SpansJson | null;
  key_spans?: SpansJson | null;
  /** By sheet, what weights can be multiplied with; older figures have none. */
  weigh?: WeighJson[][];
  probabilities: boolean;
  /** "attention probability" */
  quantity: string;
  scale: Pick<Scale, 'ramp' | 'limits'>;
  /** What every row sums to, if they all do. */
  row_total: Total | null;
  /** Why nothing is known of queries and keys; empty where a kernel, or heads that travel as such, know them. */
  no_products?: string;
  /** How a head is drawn large at first. */
  drawing?: 'map' | 'lines';
  /** How weights are read at first; older figures do not say. */
  reading?: OpeningJson;
  /** Index of the head that is shown until another is picked. */
  open: number;
  /** Heads of the sheets before this one: the kernel counts them all. */
  offset?: number;
  /** Images whose patches are among the tokens. */
  images?: ImageJson[];
}

export interface HeadJson extends Head {
  /** [query, key], or what that is made of. */
  values: HeadValues;
  /** How many weights are not a number, or outside of the limits. */
  nan: number;
  above: number;
  below: number;
}

/** What mechviz/views/_attention_sheet.py sends of one stack and text. */
export type SheetJson = Omit<
  AttentionProps,
  'frame' | 'quantity' | 'scale' | 'heads' | 'over' | 'roles' | 'drawing' | 'reading' | 'weigh'
> & {
  /** Null for a further text whose heads stand where those of the first do; their numbers then are in `values`. */
  heads: HeadJson[] | null;
  /** [head, query, key] */
  values?: NdArray | LazyArray;
  /** Weights that are not a number or outside of the limits, by head, where there are any. */
  counts?: Record<number, Pick<HeadJson, 'nan' | 'above' | 'below'>>;
};

export interface SheetsJson extends Pick<
  AttentionProps,
  'frame' | 'quantity' | 'scale' | 'roles' | 'drawing' | 'reading' | 'weigh'
> {
  /** Stack by stack, and in each text by text. */
  sheets: SheetJson[];
  /** Names of the stacks; [""] where there is one. */
  parts: string[];
  /** How each text begins. */
  texts: string[];
  /** The stack that is shown at first. */
  part: number;
  /** Scores over the texts, by stack. */
  over_texts: (OverJson | null)[];
}

export type Props = AttentionProps | SheetsJson;

export function isSheets(props: Props): props is SheetsJson {
  return 'sheets' in props;
}

/** The text that is shown: the first that is picked and exists. */
export function openText(props: Props, selection: Selection): number {
  return isSheets(props) ? (selection.texts.find((text) => text < props.texts.length) ?? 0) : 0;
}

const NONE: WeighJson[] = [];

/** Which sheet is shown, and what its weights can be multiplied with. */
export function weighOf(props: Props, part: number, text: number): { sheet: number; weigh: WeighJson[] } {
  const sheet = isSheets(props) ? part * props.texts.length + text : 0;
  return { sheet, weigh: props.weigh?.[sheet] ?? NONE };
}

/** What is shown, as a view of one text has it. */
export function sheetOf(props: Props, part: number, text: number): AttentionProps {
  if (!isSheets(props)) return props;
  const { frame, quantity, scale, roles, sheets, texts } = props;
  const [sheet, first] = [sheets[part * texts.length + text], sheets[part * texts.length]];
  const heads = sheet.heads ?? headsOf(sheet, first.heads!);
  return { ...sheet, frame, quantity, scale, roles, heads, over: props.over_texts[part] };
}

/** Heads that travel together, each with its part of the numbers once these are here. */
function headsOf(sheet: SheetJson, places: HeadJson[]): HeadJson[] {
  const values = sheet.values!;
  const whole = values instanceof LazyArray ? values.value : values;
  const size = whole ? whole.shape[1] * whole.shape[2] : 0;
  return places.map((place, i) => ({
    ...place,
    nan: 0,
    above: 0,
    below: 0,
    ...sheet.counts?.[i],
    values: whole
      ? { ...whole, data: whole.data.subarray(i * size, (i + 1) * size), shape: whole.shape.slice(1) }
      : (values as LazyArray),
  }));
}
