/** The text round a token, for read-outs of texts that are too long to be seen as a whole. */
import type { TokensJson } from '../views/types';
import { placeOf } from './patches';

/** Texts up to here are on the screen, with both tokens of a cell framed. */
const SEEN = 100;
/** Characters on each side: what the narrowest column has room for. */
const ROOM = 20;
const SIGNS: Record<string, string> = { '\n': '↵', '\t': '⇥', '\r': '␍' };

/** Not all of the text is on the screen. */
export function isLong(tokens: TokensJson): boolean {
  return tokens.label.length > SEEN;
}

/** What stands before and after a token, in whole tokens; undefined where the text is short, or it is a patch of an image. */
export function contextOf(tokens: TokensJson, position: number): { before: string; after: string } | undefined {
  const count = tokens.label.length;
  if (!isLong(tokens) || placeOf(tokens, position)) return undefined;
  const read = (i: number) =>
    (tokens.special[i] ? tokens.label[i] : tokens.text[i]).replace(/[\n\t\r]/g, (sign) => SIGNS[sign]);
  let [first, last, before, after] = [position, position, '', ''];
  for (; first > 0 && before.length + read(first - 1).length <= ROOM; first--) before = read(first - 1) + before;
  for (; last < count - 1 && after.length + read(last + 1).length <= ROOM; last++) after += read(last + 1);
  return { before: (first > 0 ? '…' : '') + before, after: after + (last < count - 1 ? '…' : '') };
}
