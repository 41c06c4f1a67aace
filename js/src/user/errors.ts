/** Run-time errors of a user's component, traced from the linked code back to the file that was written. */
import type { Located } from './modules';

export interface Problem {
  /** As a reader sees it: `Thing.svelte:3:12  TypeError: …`, the line, a caret. */
  text: string;
  /** It happened in a file of the user's. */
  traced: boolean;
}

/** Lines before the linked code in a module's text: its head, and the line of imports (mechviz/_svelte/link.py). */
const HEAD = 2;

/** In production Svelte's errors are addresses of pages; these are what users meet, in words. */
const WORDS: Record<string, string> = {
  each_key_duplicate: 'two items of a keyed {#each} have the same key',
  effect_update_depth_exceeded: 'an effect changes what it depends on, and so runs without end',
  effect_orphan: 'an $effect can be created only while a component is being set up',
  lifecycle_outside_component:
    'onMount, getContext, getFigure and the like can be called only while a component is being set up',
  props_rest_readonly: 'the rest of $props() is read-only',
  state_unsafe_mutation: 'state must not be changed inside $derived or the template',
  store_invalid_shape: 'a name with $ before it must be a store with a subscribe method',
  invalid_snippet: '{@render …} needs a snippet; it was given undefined',
  derived_references_self: 'a $derived must not depend on itself',
};

export function explain(error: unknown, modules: Located[]): Problem {
  const message = wordsOf(error);
  for (const frame of framesOf(error)) {
    const found = modules.find(
      ({ record, url, line }) => frame.url === url && frame.line >= line && frame.line < line + lengthOf(record),
    );
    const place = found && trace(found, frame);
    if (!found || !place) continue;
    const { file, source } = found.record;
    const text = source.split('\n')[place.line] ?? '';
    const indent = text.slice(0, place.column).replace(/[^\t]/g, ' ');
    const number = String(place.line + 1).padStart(5);
    const head = `${file}:${place.line + 1}:${place.column + 1}  ${message}`;
    return { text: `${head}\n${number} | ${text.trimEnd()}\n      | ${indent}^`, traced: true };
  }
  return { text: message, traced: false };
}

function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return `thrown: ${String(error)}`;
  const code = error.message.match(/svelte\.dev\/e\/(\w+)/)?.[1];
  if (code) return `${WORDS[code] ?? code.replaceAll('_', ' ')} (Svelte: ${code})`;
  return `${error.name}: ${error.message}`;
}

interface FramePlace {
  url: string;
  /** From 0. */
  line: number;
  column: number;
}

/** The places of a stack, innermost first: Chromium's "at f (url:1:2)", Firefox's and Safari's "f@url:1:2". */
export function framesOf(error: unknown): FramePlace[] {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  return stack.split('\n').flatMap((row) => {
    const found = row.match(/(?:^\s*at (?:.*\()?|@|^)([^\s()@][^()]*?):(\d+):(\d+)\)?$/);
    return found ? [{ url: found[1], line: Number(found[2]) - 1, column: Number(found[3]) - 1 }] : [];
  });
}

const lengths = new WeakMap<object, number>();

function lengthOf(record: Located['record']): number {
  let length = lengths.get(record);
  if (!length) lengths.set(record, (length = String(record.make).split('\n').length + 1));
  return length;
}

function trace({ record, line }: Located, frame: FramePlace): { line: number; column: number } | undefined {
  const rows = record.map.split(';');
  const wanted = frame.line - line - HEAD;
  let [source, column] = [0, 0];
  let best: { line: number; column: number } | undefined;
  for (let row = 0; row <= Math.min(wanted, rows.length - 1); row++) {
    let at = 0;
    if (row === wanted) best = undefined;
    for (const segment of rows[row] ? rows[row].split(',') : []) {
      const [step, , sourceStep = 0, columnStep = 0] = vlq(segment);
      at += step;
      source += sourceStep;
      column += columnStep;
      if (row < wanted || at <= frame.column || !best) best = { line: source, column };
    }
  }
  return best;
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** The numbers of a segment of a source map. */
function vlq(segment: string): number[] {
  const numbers: number[] = [];
  let [value, shift] = [0, 0];
  for (const character of segment) {
    const digit = DIGITS.indexOf(character);
    value |= (digit & 31) << shift;
    shift += 5;
    if (digit & 32) continue;
    numbers.push(value & 1 ? -(value >> 1) : value >> 1);
    [value, shift] = [0, 0];
  }
  return numbers;
}
