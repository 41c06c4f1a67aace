/**
 * The Svelte compiler as one script without imports, run inside Python (mechviz/_svelte/compiler.py). Nothing here
 * touches a file or a network: text goes in, JSON comes out.
 */
import { compile, compileModule, parse, parseCss, VERSION } from 'svelte/compiler';
import { SourceError, type Node, type Place } from './compiler/ast';
import { link, type Linked } from './compiler/link';
import { EXPORTS } from './compiler/names';
import { signatureOf, type Signature } from './compiler/signature';

interface Problem {
  message: string;
  code: string;
  start?: Place;
}

export interface Compiled extends Linked {
  /** Of the code before it was linked: line 0 of it is line 1 of `code`. */
  mappings: string;
  warnings: Problem[];
  /** Of a component only. */
  signature?: Signature;
}

/** A version of the compiler is right for the same version of the runtime only. */
export { VERSION, EXPORTS };

/** Compile one file by the end of its name; JSON of a `Compiled`, or of `{ error }`. */
export function compileFile(source: string, name: string): string {
  try {
    return JSON.stringify(compiled(source, name));
  } catch (error) {
    return JSON.stringify({ error: problem(error) });
  }
}

function compiled(source: string, name: string): Compiled {
  if (name.endsWith('.svelte')) {
    const { js, warnings } = compile(source, { filename: name, ...COMMON, css: 'injected', cssHash });
    const signature = signatureOf(parse(source, { modern: true }) as unknown as Node, source);
    return { ...link(js.code, `./${name}`), mappings: js.map.mappings, warnings: warnings.map(problem), signature };
  }
  if (name.endsWith('.css')) {
    parseCss(source); // for its errors
    return { code: '', deps: [], exports: [], reexports: [], mappings: '', warnings: [] };
  }
  if (name.endsWith('.ts')) return typescript(source, name);
  if (/\.svelte\.m?js$/.test(name)) {
    const { js, warnings } = compileModule(source, { filename: name, dev: false, generate: 'client' });
    return { ...link(js.code), mappings: js.map.mappings, warnings: warnings.map(problem) };
  }
  return { ...link(source), mappings: identity(source), warnings: [] };
}

const COMMON = { generate: 'client', dev: false, discloseVersion: false } as const;

/** By content: an edited component brings its new styles although the old ones still stand in the root. */
function cssHash({ css, hash }: { css: string; hash: (text: string) => string }): string {
  return `svelte-${hash(css)}`;
}

const OPEN = '<script module lang="ts">';
const DEFAULT = /^export default(?=[ \t({[])/m;

/**
 * TypeScript without a component round it. The compiler takes types out of components only, so it is given one; what a
 * module may do and a component's module script may not, export a default, goes under another name of the same length.
 */
function typescript(source: string, name: string): Compiled {
  const renamed = source.replace(DEFAULT, 'const default_=');
  const hasDefault = renamed !== source;
  try {
    const body = renamed.replaceAll('</script', '<\\/script');
    const { js, warnings } = compile(`${OPEN}${body}\n</script>`, { filename: `${name}.svelte`, ...COMMON });
    const linked = link(js.code);
    const exports = linked.exports.filter((exported) => exported !== 'default');
    const code = linked.code.replace(
      /get "default"\(\)\{return [^}]*\},?/,
      hasDefault ? 'get "default"(){return default_},' : '',
    );
    if (hasDefault) exports.push('default');
    return { ...linked, code, exports, mappings: js.map.mappings, warnings: warnings.map(problem).map(back) };
  } catch (error) {
    const { start, message, code } = back(problem(error));
    throw start ? new SourceError(message, start, code) : error;
  }
}

/** A place in the component that was made round a module -> the place in the module. */
function back(found: Problem): Problem {
  const { start } = found;
  if (!start) return found;
  return { ...found, start: start.line > 1 ? start : { line: 1, column: Math.max(0, start.column - OPEN.length) } };
}

/** Every line is the line of the source. */
function identity(source: string): string {
  return source
    .split('\n')
    .map((_, i) => (i ? 'AACA' : 'AAAA'))
    .join(';');
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any
function problem(error: any): Problem {
  const said = error instanceof Error || error?.message ? String(error.message) : String(error);
  const start = error?.start ?? error?.loc;
  return {
    // Svelte ends with the address of a page about the error, acorn with the place.
    message: said.split('\n')[0].replace(/ \(\d+:\d+\)$/, ''),
    code: error?.code ?? '',
    start: start && { line: start.line, column: start.column },
  };
}
