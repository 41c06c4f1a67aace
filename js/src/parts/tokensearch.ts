/** Search in tokens: where a text or a regular expression occurs, as first and last positions. No DOM. */
import type { TokensJson } from '../views/types';

export type Hit = [first: number, last: number];

/** More are not listed: nobody jumps through them, and a reader sees that there are many. */
const MOST = 100_000;

/**
 * Hits in order, never across two texts (which begin at `starts`). A text is found in any case, an expression as it says.
 * Throws a SyntaxError where the expression is none.
 */
export function find(tokens: TokensJson, query: string, regex: boolean, starts: number[] = [0]): Hit[] {
  if (!query) return [];
  const pattern = regex ? new RegExp(query, 'gmu') : new RegExp(query.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'giu');
  const hits: Hit[] = [];
  starts.forEach((start, t) => {
    const end = starts[t + 1] ?? tokens.text.length;
    const texts = tokens.text.slice(start, end);
    let at = 0;
    let offset = 0;
    /** The token that holds a character; of several at one place (bytes of one character) the first. */
    const tokenAt = (character: number) => {
      while (offset + texts[at].length <= character) offset += texts[at++].length;
      return start + at;
    };
    for (const match of texts.join('').matchAll(pattern)) {
      if (!match[0] || hits.length === MOST) continue;
      const first = tokenAt(match.index);
      let last = tokenAt(match.index + match[0].length - 1);
      while (last + 1 < end && tokens.group[last + 1] === tokens.group[last] && !tokens.text[last + 1]) last++;
      hits.push([first, last]);
    }
  });
  return hits;
}
