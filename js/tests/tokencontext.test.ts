import { expect, test } from 'vitest';
import { contextOf } from '../src/parts/tokencontext';
import type { TokensJson } from '../src/views/types';

function tokens(text: string[], more: Partial<TokensJson> = {}): TokensJson {
  const none = text.map(() => null);
  const plain = { label: text.map((t) => t.replace(/^ /, '·')), text, group: text.map((_, i) => i) };
  return { ...plain, special: text.map(() => false), role: none, ids: null, piece: text.map(() => ''), ...more };
}

const words = Array.from({ length: 120 }, (_, i) => ` w${i}`);

test('whole tokens on each side, and a sign where there is more', () => {
  expect(contextOf(tokens(words), 60)).toEqual({
    before: '… w55 w56 w57 w58 w59', // five of four characters
    after: ' w61 w62 w63 w64 w65…',
  });
  expect(contextOf(tokens(words), 1)!.before).toBe(' w0');
  expect(contextOf(tokens(words), 119)!.after).toBe('');
});

test('breaks are signs, special tokens their strings, and a long neighbour is left out whole', () => {
  const put = (at: Record<number, string>) => words.map((word, i) => at[i] ?? word);
  const text = put({ 58: '', 59: '\n', 61: ` ${'x'.repeat(30)}` });
  const special = text.map((_, i) => i === 58);
  const label = put({ 58: '<s>' });
  expect(contextOf(tokens(text, { special, label }), 60)).toEqual({ before: '… w54 w55 w56 w57<s>↵', after: '…' });
});

test('a short text is seen as a whole, and a patch has no text round it', () => {
  expect(contextOf(tokens(words.slice(0, 100)), 60)).toBeUndefined();
  expect(contextOf(tokens(words, { patches: [[50, 4, 4]] }), 60)).toBeUndefined();
  expect(contextOf(tokens(words, { patches: [[50, 4, 4]] }), 20)).toBeDefined();
});
