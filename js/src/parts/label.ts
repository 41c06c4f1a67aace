/** Tokens as short labels, for axes, tables and read-outs. */
import type { TokensJson } from '../views/types';
import { say } from '../words';
import { placeOf } from './patches';

export interface Label {
  /** "BOS", "PAD": the role of a special token, set in the sans face. */
  role: boolean;
  /** A leading space, drawn as a pale dot. */
  dot: boolean;
  text: string;
  /** Estimated width in CSS pixels at 11 px. */
  width: number;
}

/** A mono character of 11 px. */
const CHARACTER = 6.62;
/** East Asian wide characters and emoji take two columns. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\u{1f000}-\u{3ffff}]/u;

/**
 * The label of a token, cut to `room` columns with an ellipsis; the role of a special token stands for it, and row and
 * column for a patch of an image, which is no text. With `ends` the middle is cut out.
 */
export function labelOf(tokens: TokensJson, position: number, room = 10, ends = false): Label {
  const place = placeOf(tokens, position);
  if (place) {
    const text = `${place.row},${place.column}`;
    return { role: true, dot: false, text, width: text.length * CHARACTER };
  }
  const role = tokens.role[position];
  if (role) return { role: true, dot: false, text: role, width: role.length * 7.2 };
  const label = tokens.label[position];
  const dot = label.startsWith('·') && label.length > 1;
  const text = cut(dot ? label.slice(1) : label, room - Number(dot), ends);
  return { role: false, dot, text, width: (columns(text) + Number(dot)) * CHARACTER };
}

/** "patch row 3, column 4"; undefined for what is text. */
export function patchName(tokens: TokensJson, position: number): string | undefined {
  const place = placeOf(tokens, position);
  if (!place) return undefined;
  const { image, row, column } = place;
  return say(tokens.patches!.length > 1 ? 'patch.name.of' : 'patch.name', { image: image + 1, row, column });
}

/** "'Mary' at 2": for those who hear it. */
export function spoken(tokens: TokensJson, position: number): string {
  const patch = patchName(tokens, position);
  if (patch) return patch;
  const role = tokens.role[position];
  const token = role ?? `'${tokens.label[position].replace(/^·(?=.)/, '')}'`;
  return say('heard.token', { token, position });
}

function columns(text: string): number {
  return [...text].reduce((sum, c) => sum + (WIDE.test(c) ? 2 : 1), 0);
}

/** A text cut to `room` columns with an ellipsis; with `ends` in its middle. */
export function cut(text: string, room: number, ends: boolean): string {
  if (columns(text) <= room) return text;
  const parts = Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment);
  const kept = (parts: string[], room: number) => {
    let n = 0;
    while ((room -= columns(parts[n])) >= 0) n++;
    return parts.slice(0, n);
  };
  const tail = ends
    ? kept([...parts].reverse(), (room - 1) >> 1)
        .reverse()
        .join('')
    : '';
  return `${kept(parts, room - 1 - columns(tail)).join('')}…${tail}`;
}

/** A label that wants a place on an axis; the lower its rank, the sooner it gets one. */
export interface Wish {
  index: number;
  rank: number;
}

/**
 * Which labels to draw, so that no two are closer than `apart` on an axis with `pitch` pixels to a token. A label that
 * would collide is dropped, never shrunk. Returned in order of position.
 */
export function place(wishes: Wish[], pitch: number, apart: number): number[] {
  const taken: number[] = [];
  for (const { index } of [...wishes].sort((a, b) => a.rank - b.rank || a.index - b.index)) {
    if (taken.every((other) => other !== index && Math.abs(other - index) * pitch >= apart)) taken.push(index);
  }
  return taken.sort((a, b) => a - b);
}

/** Every n-th from `from` up to `count` with n = 1, 2, 5, 10 …, so that they stand `apart` from each other. */
export function thinned(count: number, pitch: number, apart: number, from = 0): number[] {
  let step = 1;
  for (let k = 0; step * pitch < apart; k++) step = [2, 5, 10][k % 3] * 10 ** Math.floor(k / 3);
  const first = Math.ceil(from / step);
  return Array.from({ length: Math.max(0, Math.ceil(count / step) - first) }, (_, i) => (first + i) * step);
}
