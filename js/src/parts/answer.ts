/** Where a text stops being what the model was given and becomes what it said. */
import type { TokensJson } from '../views/types';
import { say } from '../words';
import { STATE } from './tokentext';

/** Position of the first token of the answer; undefined where there is no answer, or nothing before it. */
export function boundaryOf({ prompt, label }: TokensJson): number | undefined {
  return prompt && prompt < label.length ? prompt : undefined;
}

/** "answer token 3", of a token that the model said. */
export function answerOf(tokens: TokensJson, position: number): string {
  const first = boundaryOf(tokens);
  return first === undefined || position < first ? '' : say('answer.token', { i: position - first + 1 });
}

/** What TokenText is told of it. */
export function answerBits(tokens: TokensJson): Uint8Array | undefined {
  const first = boundaryOf(tokens);
  if (first === undefined) return undefined;
  const bits = new Uint8Array(tokens.label.length);
  bits[first] = STATE.answer;
  return bits;
}

/** The answer's next token, or the one before; from the prompt its first, or its last. */
export function answerStep(tokens: TokensJson, at: number | undefined, by: 1 | -1): number | undefined {
  const first = boundaryOf(tokens);
  if (first === undefined) return undefined;
  const last = tokens.label.length - 1;
  if (at === undefined || at < first) return by > 0 ? first : last;
  return Math.max(first, Math.min(last, at + by));
}
