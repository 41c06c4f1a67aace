/** Tokens merged to words or spans: where units begin, and what stands for them as tokens do. */
import type { TokensJson } from '../views/types';
import { placeOf } from './patches';

/** Units of one text; position i lies in unit `of[i]`, which reaches from `edges[of[i]]` up to the next edge. */
export interface Units {
  edges: Int32Array;
  of: Int32Array;
  /** The units as tokens. */
  tokens: TokensJson;
}

/** What mechviz/views/_attention_spans.py sends: what lies between spans is a unit without a name. */
export interface SpansJson {
  edges: number[];
  names: (string | null)[];
}

/** Whether a token belongs to the word of the one before it. A word is what stands between white space; a patch is none. */
export function continuesWord(tokens: TokensJson, i: number): boolean {
  const { text, special } = tokens;
  if (!(i > 0) || special[i] || special[i - 1] || /^\s/.test(text[i]) || /\s$/.test(text[i - 1])) return false;
  return !placeOf(tokens, i) && !placeOf(tokens, i - 1);
}

export function wordsOf(tokens: TokensJson): Units {
  const count = tokens.label.length;
  const edges = Array.from({ length: count }, (_, i) => i).filter((i) => !continuesWord(tokens, i));
  return unitsAt(tokens, [...edges, count]);
}

export function spansOf(tokens: TokensJson, { edges, names }: SpansJson): Units {
  return unitsAt(tokens, edges, names);
}

function unitsAt(tokens: TokensJson, edges: number[], names: (string | null)[] = []): Units {
  const of = new Int32Array(tokens.label.length);
  for (let u = 0; u + 1 < edges.length; u++) of.fill(u, edges[u], edges[u + 1]);
  const all = edges.slice(0, -1).map((from, u) => unit(tokens, from, edges[u + 1], names[u] ?? undefined));
  const merged: TokensJson = {
    label: all.map(({ label }) => label),
    text: all.map(({ text }) => text),
    group: all.map((_, u) => u),
    special: all.map(({ special }) => special),
    role: all.map(({ role }) => role),
    ids: null,
    piece: all.map(() => ''),
    // Where the model's answer begins, if a unit begins there, too.
    prompt: tokens.prompt && edges.includes(tokens.prompt) ? edges.indexOf(tokens.prompt) : null,
    ...(tokens.patches && { patches: wholePatches(tokens.patches, of, edges) }),
  };
  return { edges: Int32Array.from(edges), of, tokens: merged };
}

/** Images of which every patch is a unit by itself. */
function wholePatches(patches: NonNullable<TokensJson['patches']>, of: Int32Array, edges: number[]) {
  return patches.flatMap(([start, rows, columns]): [number, number, number][] => {
    const [first, last] = [of[start], of[start + rows * columns - 1]];
    const apart = last - first === rows * columns - 1 && edges[first] === start;
    return apart && edges[last + 1] === start + rows * columns ? [[first, rows, columns]] : [];
  });
}

function unit(tokens: TokensJson, from: number, to: number, name?: string) {
  const one = to - from === 1;
  const text = tokens.text.slice(from, to).join('');
  const special = tokens.special.slice(from, to).every(Boolean);
  const label = one ? tokens.label[from] : labelled(text) || tokens.label.slice(from, to).join('');
  return { text: text || label, label: name ?? label, special, role: one && !name ? tokens.role[from] : null };
}

/** As Python labels one token (`Tokens.label`), which has escaped everything else that cannot be seen. */
export function labelled(text: string): string {
  return text.replace(/^ /, '·').replaceAll('\n', '↵').replaceAll('\t', '⇥');
}

/** All positions of a unit. */
export function positionsOf({ edges }: Units, unit: number): number[] {
  return Array.from({ length: edges[unit + 1] - edges[unit] }, (_, k) => edges[unit] + k);
}

/** For each unit 1 where all of its positions are marked. */
export function markedUnits(marked: Uint8Array, { edges }: Units): Uint8Array {
  return Uint8Array.from({ length: edges.length - 1 }, (_, u) =>
    marked.subarray(edges[u], edges[u + 1]).every(Boolean) ? 1 : 0,
  );
}
