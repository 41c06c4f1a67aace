/**
 * ES module -> the body of a function: imports become look-ups in the modules that it is called with, exports become
 * the object that it returns. Everything else stays on its line and in its column, so that source maps keep their
 * meaning.
 */
import { parse } from 'acorn';
import { placeOf, SourceError, walk, type Node, type Place } from './ast';

export interface Dependency {
  /** As written: "./Chart.svelte", "mechviz", "d3". */
  from: string;
  /** Exports that are asked of it, each with its place in the code. */
  names: string[];
  at: Place;
}

export interface Linked {
  /** Statements of a function of `__mv`, the modules in the order of `deps`. */
  code: string;
  deps: Dependency[];
  exports: string[];
  /** Modules of which everything is exported again: indices into `deps`. */
  reexports: number[];
}

/** Same length as "export default", so that nothing moves. */
const DEFAULT = 'var $default =';

/** `itself`: how the module would import itself, as components of trees do; what stands behind it is known at once. */
export function link(source: string, itself?: string): Linked {
  const program = parse(source, { ecmaVersion: 'latest', sourceType: 'module' }) as unknown as Node;
  refuse(program, source);
  const linker = new Linker(source, itself);
  for (const statement of program.body as Node[]) linker.read(statement);
  refuseReassigned(program, linker.exported, source);
  return linker.finish();
}

class Linker {
  exported = new Map<string, string>();
  #deps: Dependency[] = [];
  #reexports: number[] = [];
  #bindings: string[] = [];
  /** Local names for the module's own default export. */
  #selves: string[] = [];
  #code: string;

  constructor(
    readonly source: string,
    readonly itself?: string,
  ) {
    this.#code = source;
  }

  read(node: Node): void {
    if (node.type === 'ImportDeclaration') this.#import(node);
    else if (node.type === 'ExportAllDeclaration') this.#exportAll(node);
    else if (node.type === 'ExportDefaultDeclaration') this.#exportDefault(node);
    else if (node.type === 'ExportNamedDeclaration') this.#exportNamed(node);
  }

  finish(): Linked {
    const getters = [...this.exported].map(([name, value]) => `get ${JSON.stringify(name)}(){return ${value}}`);
    const spread = this.#reexports.map((i) => `...__mv[${i}],`).join('');
    // Before the code on a line of its own: imports are there from the start.
    const selves = this.#selves.map((local) => `${local}=${this.exported.get('default')}`);
    const bindings = [...this.#bindings, ...selves].join(',');
    const head = bindings && `const ${bindings};`;
    const code = `${head}\n${this.#code}\nreturn {${spread}${getters.join(',')}};`;
    return { code, deps: this.#deps, exports: [...this.exported.keys()], reexports: this.#reexports };
  }

  #import(node: Node): void {
    if (node.source.value === this.itself) {
      this.#selves.push(...node.specifiers.map((specifier: Node) => specifier.local.name));
      this.#blank(node.start, node.end);
      return;
    }
    const i = this.#need(node);
    for (const specifier of node.specifiers as Node[]) {
      const local: string = specifier.local.name;
      if (specifier.type === 'ImportNamespaceSpecifier') this.#bindings.push(`${local}=__mv[${i}]`);
      else this.#bindings.push(`${local}=${this.#ask(i, importedName(specifier))}`);
    }
    this.#blank(node.start, node.end);
  }

  #exportAll(node: Node): void {
    const i = this.#need(node);
    if (node.exported) this.exported.set(nameOf(node.exported), `__mv[${i}]`);
    else this.#reexports.push(i);
    this.#blank(node.start, node.end);
  }

  #exportDefault(node: Node): void {
    const { declaration } = node;
    if (/^(Function|Class)Declaration$/.test(declaration.type) && declaration.id) {
      this.exported.set('default', declaration.id.name);
      this.#blank(node.start, declaration.start);
      return;
    }
    this.exported.set('default', '$default');
    this.#replace(node.start, DEFAULT);
  }

  #exportNamed(node: Node): void {
    if (node.declaration) {
      for (const name of declared(node.declaration)) this.exported.set(name, name);
      this.#blank(node.start, node.declaration.start);
      return;
    }
    const i = node.source ? this.#need(node) : -1;
    for (const specifier of node.specifiers as Node[]) {
      const name = nameOf(specifier.local);
      this.exported.set(nameOf(specifier.exported), i >= 0 ? this.#ask(i, name) : name);
    }
    this.#blank(node.start, node.end);
  }

  #ask(i: number, name: string): string {
    this.#deps[i].names.push(name);
    return `__mv[${i}][${JSON.stringify(name)}]`;
  }

  #need(node: Node): number {
    const from: string = node.source.value;
    const known = this.#deps.findIndex((dependency) => dependency.from === from);
    if (known >= 0) return known;
    this.#deps.push({ from, names: [], at: placeOf(this.source, node.source.start) });
    return this.#deps.length - 1;
  }

  #replace(start: number, text: string): void {
    this.#code = this.#code.slice(0, start) + text + this.#code.slice(start + text.length);
  }

  #blank(start: number, end: number): void {
    this.#replace(start, this.#code.slice(start, end).replace(/[^\n]/g, ' '));
  }
}

function importedName(specifier: Node): string {
  return specifier.type === 'ImportDefaultSpecifier' ? 'default' : nameOf(specifier.imported);
}

function nameOf(node: Node): string {
  return node.type === 'Literal' ? String(node.value) : node.name;
}

/** Names that a declaration brings: of a function, a class, or variables with patterns. */
function declared(node: Node): string[] {
  return node.type === 'VariableDeclaration'
    ? node.declarations.flatMap((declarator: Node) => names(declarator.id))
    : [node.id.name];
}

function names(pattern: Node | null): string[] {
  switch (pattern?.type) {
    case 'Identifier':
      return [pattern.name];
    case 'ObjectPattern':
      return pattern.properties.flatMap((property: Node) => names(property.value ?? property.argument));
    case 'ArrayPattern':
      return pattern.elements.flatMap(names);
    case 'AssignmentPattern':
      return names(pattern.left);
    case 'RestElement':
      return names(pattern.argument);
    default:
      return [];
  }
}

/** What a function body cannot hold. */
function refuse(program: Node, source: string): void {
  const fail = (node: Node, message: string): never => {
    throw new SourceError(message, placeOf(source, node.start));
  };
  walk(program, (node) => {
    if (node.type === 'ImportExpression') {
      fail(
        node,
        'import(…) cannot be used: everything that a component needs is put into the page; write an import at the top',
      );
    }
    if (node.type === 'MetaProperty' && node.meta.name === 'import') {
      fail(node, 'import.meta cannot be used: a component has no address of its own in a page');
    }
  });
  walk(program, (node) => {
    if (/Function/.test(node.type) || node.type === 'ClassBody') return false;
    const awaits = node.type === 'AwaitExpression' || (node.type === 'ForOfStatement' && node.await);
    if (awaits) fail(node, 'await cannot stand at the top of a module here; use it inside an async function');
    return true;
  });
}

/** Imports are taken once, so what is exported must not be assigned to later. */
function refuseReassigned(program: Node, exported: Map<string, string>, source: string): void {
  const variables = new Set(
    (program.body as Node[])
      .map((node) => node.declaration ?? node)
      .filter((node: Node) => node.type === 'VariableDeclaration' && node.kind !== 'const')
      .flatMap(declared),
  );
  const changing = new Set([...exported.values()].filter((local) => variables.has(local)));
  walk(program, (node) => {
    const target = node.type === 'AssignmentExpression' ? node.left : node.type === 'UpdateExpression' && node.argument;
    if (target?.type === 'Identifier' && changing.has(target.name)) {
      const message = `\`${target.name}\` is exported and assigned to; export a function that returns it, or an object that holds it`;
      throw new SourceError(message, placeOf(source, node.start));
    }
  });
}
