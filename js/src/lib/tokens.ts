/** Tokens as a component may be given them: a `Tokens` object of Python's, or plain strings. */
import type { TokensJson } from '../views/types';

export function tokensOf(tokens: TokensJson | string[]): TokensJson {
  if (!Array.isArray(tokens)) return tokens;
  return {
    label: tokens.map((text) =>
      text
        .replace(/^ (?=.)/s, '·')
        .replaceAll('\n', '↵')
        .replaceAll('\t', '⇥'),
    ),
    text: tokens,
    group: tokens.map((_, i) => i),
    special: tokens.map(() => false),
    role: tokens.map(() => null),
    ids: null,
    piece: tokens.map(() => ''),
  };
}
