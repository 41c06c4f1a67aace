/** Which heads are open in an attention view, and how what is pointed at becomes a row or a column of them. */
import type { Hover } from '../figure.svelte';
import type { Direction } from '../pattern/pattern';
import type { Selection } from '../selection';
import type { AttentionProps } from './attentionsheets';
import type { Head } from './headgrid';
import type { Focus } from './heatmap';

/** What several heads are made into. */
export const COMBINES = ['mean', 'max', 'sum'] as const;
export type Combine = (typeof COMBINES)[number];

/**
 * The heads picked in the figure's selection, in that order: layers and heads of one length go together, of others every
 * combination counts, and an axis on which nothing is picked is that of the head that is open otherwise.
 */
export function openHeads(heads: Head[], selection: Selection, otherwise: number): number[] {
  const { layer, head } = heads[otherwise];
  const [layers, numbers] = [selection.layers, selection.heads];
  if (!layers.length && !numbers.length) return [otherwise];
  const [downs, acrosses] = [layers.length ? layers : [layer], numbers.length ? numbers : [head]];
  const pairs =
    downs.length === acrosses.length
      ? downs.map((layer, i) => [layer, acrosses[i]])
      : downs.flatMap((layer) => acrosses.map((head) => [layer, head]));
  const place = new Map(heads.map((item, i) => [`${item.layer} ${item.head}`, i]));
  const found = pairs.map(([layer, head]) => place.get(`${layer} ${head}`)).filter((i) => i !== undefined);
  return found.length ? [...new Set(found)] : [otherwise];
}

/**
 * The row or column pointed at: the hovered one, else the picked one, else the last token; and the other end of the
 * cell, where one is pointed at.
 */
export function pointedAt(
  direction: Direction,
  hover: Hover,
  selection: Selection,
  sizes: { queries: number; keys: number; causal: boolean; first?: number },
): Focus {
  const by = direction === 'by';
  const [own, others] = by ? [sizes.keys, sizes.queries] : [sizes.queries, sizes.keys];
  const within = (index: number | undefined, size: number) =>
    index !== undefined && index >= 0 && index < size ? index : undefined;
  const cell = (subject: number, partner: number | undefined): Focus => {
    const known = within(partner, others);
    const masked = known !== undefined && sizes.causal && (by ? known < subject : known > subject);
    return { direction, subject, partner: masked ? undefined : known };
  };
  const hovered = within((by ? hover.key : hover.query) ?? hover.position, own);
  if (hovered !== undefined) return cell(hovered, by ? hover.query : hover.key);
  const { queries, keys, positions } = selection;
  const picked = within((by ? keys[0] : queries[0]) ?? positions[0], own);
  // A query picked alone (a token in a text) says nothing about a cell.
  if (picked !== undefined)
    return cell(picked, queries.length && keys.length ? (by ? queries[0] : keys[0]) : undefined);
  return cell(by ? own - 1 : (sizes.first ?? own - 1), undefined);
}

/** The query that is asked about at first, where it is not the last: what stands for a whole image, as ViT's CLS does. */
export function firstAsked({ tokens, causal, images }: Pick<AttentionProps, 'tokens' | 'causal' | 'images'>) {
  return images && !causal && tokens.role[0] === 'CLS' ? 0 : undefined;
}
