/** A user's modules in the browser: linked by Python, run here, each once per figure. */
import type { Figure } from '../figure.svelte';
import { runtime } from './runtime';

/** What mechviz/_svelte/link.py writes. */
export interface ModuleRecord {
  file: string;
  /** Keys of other modules, or names of what the bundle carries: "svelte", "mechviz". */
  deps: string[];
  /** Source map: from the code to `source`. */
  map: string;
  source: string;
  css: string;
  make(modules: Namespace[]): Namespace | undefined;
}
export type Namespace = Record<string, unknown>;

/** A module's record and where its text stands, for reading stacks: the script's address, its first line from 0. */
export interface Located {
  record: ModuleRecord;
  url: string;
  line: number;
}

/** In a notebook modules come as text; in a page they are part of the script that its policy allows. */
export type Code = Record<string, string | Located>;

export interface Loaded {
  exports: Namespace;
  /** Style sheets that it and what it imports bring. */
  css: string[];
  /** It and what it imports, for tracing errors. */
  modules: Located[];
}

export class Modules {
  #found = new Map<string, Promise<Located>>();
  #ran = new Map<string, Omit<Loaded, 'modules'>>();

  constructor(readonly figure: Figure) {}

  /** A module and all that it needs; `found` is given them before any of them runs. */
  async load(key: string, found: (modules: Located[]) => void): Promise<Loaded> {
    const records = new Map<string, Located>();
    await this.#collect(key, records);
    const modules = [...records.values()];
    found(modules);
    return { ...this.#run(key, records), modules };
  }

  async #collect(key: string, records: Map<string, Located>): Promise<void> {
    if (records.has(key) || key in runtime) return;
    const located = await this.#find(key);
    records.set(key, located);
    await Promise.all(located.record.deps.map((dependency) => this.#collect(dependency, records)));
  }

  #find(key: string): Promise<Located> {
    let found = this.#found.get(key);
    if (!found) this.#found.set(key, (found = this.#fetch(key)));
    return found;
  }

  async #fetch(key: string): Promise<Located> {
    const code = this.figure.code[key] as Code[string] | undefined;
    if (code === undefined) throw new Error(`module ${key} is missing from this figure`);
    if (typeof code !== 'string') return code;
    const url = URL.createObjectURL(new Blob([`export default ${code}`], { type: 'text/javascript' }));
    try {
      const module = (await import(/* @vite-ignore */ url)) as { default: ModuleRecord };
      return { record: module.default, url, line: 0 };
    } finally {
      URL.revokeObjectURL(url);
    }
  }

  #run(key: string, records: Map<string, Located>): Omit<Loaded, 'modules'> {
    if (key in runtime) return { exports: runtime[key], css: [] };
    const known = this.#ran.get(key);
    if (known) return known;
    const { record } = records.get(key)!;
    const needed = record.deps.map((dependency) => this.#run(dependency, records));
    const exports = record.make(needed.map((loaded) => loaded.exports)) ?? {};
    const css = [...new Set([...needed.flatMap((loaded) => loaded.css), record.css])].filter(Boolean);
    const ran = { exports, css };
    this.#ran.set(key, ran);
    return ran;
  }
}

const ofFigure = new WeakMap<Figure, Modules>();

/** Views of one figure share their modules, as files that import one file do. */
export function modulesOf(figure: Figure): Modules {
  let modules = ofFigure.get(figure);
  if (!modules) ofFigure.set(figure, (modules = new Modules(figure)));
  return modules;
}
