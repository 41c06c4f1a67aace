/** Every word of the interface by name (words.json), so that it can be said in another language (`mv.style(words=…)`). */
import table from './words.json';

export type Word = keyof typeof table;

let others: Partial<Record<string, string>> = {};

/** Say these instead. One table for the page: a reader has one language. */
export function setWords(words: Partial<Record<string, string>>): void {
  others = words;
}

/**
 * A text with `{name}` filled in. One that counts has two forms, "{n} cell || {n} cells", of which `n` chooses: a count,
 * or one already printed.
 */
export function say(word: Word, values: Record<string, string | number> = {}): string {
  const forms = (others[word] ?? table[word]).split(' || ');
  const form = forms.length > 1 && String(values.n) !== '1' ? forms[1] : forms[0];
  return form.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}
