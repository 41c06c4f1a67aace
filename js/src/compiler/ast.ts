/** What the parsers give back, as far as it is read here. */

export interface Node {
  type: string;
  start: number;
  end: number;
  // ESTree and Svelte nodes have some fifty shapes; each reader names the fields of the type that it has checked.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  [field: string]: any;
}

/** Where something stands in a file: line from 1, column from 0. */
export interface Place {
  line: number;
  column: number;
}

/** Something in a user's file that cannot be compiled, with its place. */
export class SourceError extends Error {
  constructor(
    message: string,
    readonly start: Place,
    readonly code = '',
  ) {
    super(message);
  }
}

export function placeOf(source: string, offset: number): Place {
  const before = source.slice(0, offset);
  const line = before.split('\n').length;
  return { line, column: offset - (before.lastIndexOf('\n') + 1) };
}

/** Visit every node below one; `enter` returns false to leave out what is inside. */
export function walk(node: Node, enter: (node: Node) => boolean | void): void {
  if (enter(node) === false) return;
  for (const value of Object.values(node)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item && typeof item === 'object' && typeof item.type === 'string') walk(item, enter);
    }
  }
}
