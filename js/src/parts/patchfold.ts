/** A text in which every image is one word: hundreds of patches are no text to be read. They are pointed at in the image. */
import type { TokensJson } from '../views/types';
import { say } from '../words';
import type { TokenFill } from './tokentext';

export interface Fold {
  tokens: TokensJson;
  /** Where a position stands in it. */
  to(position: number): number;
  /** The position of what stands there; undefined for an image. */
  from(index: number): number | undefined;
  fills(fills: TokenFill[] | undefined): (TokenFill | null)[] | undefined;
}

const folds = new WeakMap<TokensJson, Fold>();

/** The same object for the same tokens: what is drawn of it stays. */
export function foldOf(tokens: TokensJson): Fold {
  let found = folds.get(tokens);
  if (!found) folds.set(tokens, (found = tokens.patches?.length ? folded(tokens, tokens.patches) : plain(tokens)));
  return found;
}

function plain(tokens: TokensJson): Fold {
  return { tokens, to: (position) => position, from: (index) => index, fills: (fills) => fills };
}

function folded(tokens: TokensJson, patches: [number, number, number][]): Fold {
  const count = tokens.label.length;
  /** The position of each word; of an image that of its first patch, and which image it is. */
  const at: number[] = [];
  const image: (number | undefined)[] = [];
  const index = new Int32Array(count);
  for (let position = 0; position < count;) {
    const which = patches.findIndex(([start]) => start === position);
    const size = which < 0 ? 1 : patches[which][1] * patches[which][2];
    index.fill(at.length, position, position + size);
    at.push(position);
    image.push(which < 0 ? undefined : which);
    position += size;
  }
  const column = <T>(values: T[], word: (rows: number, columns: number) => T): T[] =>
    at.map((position, i) =>
      image[i] === undefined ? values[position] : word(patches[image[i]][1], patches[image[i]][2]),
    );
  const name = (rows: number, columns: number) => say('patch.fold', { rows, columns });
  const group = at.map((position, i) => (image[i] === undefined ? index[tokens.group[position]] : i));
  return {
    tokens: {
      ...tokens,
      label: column(tokens.label, name),
      text: column(tokens.text, name),
      group,
      special: column(tokens.special, () => true),
      role: column(tokens.role, () => null),
      ids: null,
      piece: column(tokens.piece, () => ''),
      prompt: typeof tokens.prompt === 'number' ? (index[tokens.prompt] ?? at.length) : tokens.prompt,
      patches: undefined,
    },
    to: (position) => index[position],
    from: (i) => (image[i] === undefined ? at[i] : undefined),
    fills: (fills) => fills && at.map((position, i) => (image[i] === undefined ? fills[position] : null)),
  };
}
