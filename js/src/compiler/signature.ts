/** The props of a component, read from its syntax tree: `$props()` and `export let`, TypeScript and JSDoc. */
import { placeOf, SourceError, type Node } from './ast';

export interface Prop {
  name: string;
  /** As written: "number[]", "'a' | 'b'"; "" where nothing is said. */
  type: string;
  /** The default as JSON where it is a constant, else as code; neither where there is none. */
  value?: unknown;
  code?: string;
  required: boolean;
  /** The component may write it, and Python hears of it. */
  bindable: boolean;
  doc: string;
}

export interface Signature {
  props: Prop[];
  /** Takes any other keyword too: `...rest`, or `let props = $props()` without a type. */
  rest: boolean;
  doc: string;
}

interface Member {
  type: string;
  optional: boolean;
  doc: string;
}

/** `root` is the result of Svelte's `parse(source, { modern: true })`. */
export function signatureOf(root: Node, source: string): Signature {
  const script: Node[] = root.instance?.content.body ?? [];
  const reader = new Reader(source, [...(root.module?.content.body ?? []), ...script]);
  const declarator = script.map(propsDeclarator).find((found) => found !== undefined);
  const { props, rest } = declarator ? reader.runes(declarator) : { props: reader.legacy(script), rest: false };
  return {
    // What Python cannot give: snippets, and the content between the tags.
    props: props.filter((prop) => !/^Snippet\b/.test(prop.type) && prop.name !== 'children'),
    rest,
    doc: docOf(root, script),
  };
}

class Reader {
  /** Members of interfaces and type literals of this file, by name. */
  #types = new Map<string, Map<string, Member>>();

  constructor(
    readonly source: string,
    script: Node[],
  ) {
    for (const statement of script) {
      const node = statement.declaration ?? statement;
      if (node.type === 'TSInterfaceDeclaration') this.#types.set(node.id.name, this.#members(node.body.body));
      else if (node.type === 'TSTypeAliasDeclaration') this.#types.set(node.id.name, this.#typed(node.typeAnnotation));
    }
  }

  /** `let { a, b = 1, c = $bindable(2), ...rest }: Props = $props()`. */
  runes(declarator: Node): { props: Prop[]; rest: boolean } {
    const { id } = declarator;
    const members = id.typeAnnotation ? this.#typed(id.typeAnnotation.typeAnnotation) : new Map<string, Member>();
    if (id.type !== 'ObjectPattern') {
      const props = [...members].map(([name, member]) => this.#prop(name, member, undefined, false));
      return { props, rest: !members.size };
    }
    const props: Prop[] = [];
    let rest = false;
    for (const property of id.properties as Node[]) {
      if (property.type === 'RestElement') {
        rest = true;
        continue;
      }
      if (property.computed) throw new SourceError('a computed prop has no name', placeOf(this.source, property.start));
      const name: string = property.key.name ?? String(property.key.value);
      const member = members.get(name) ?? jsdoc(property);
      const fallback: Node | undefined = property.value.type === 'AssignmentPattern' ? property.value.right : undefined;
      const bindable = fallback?.type === 'CallExpression' && fallback.callee.name === '$bindable';
      props.push(this.#prop(name, member, bindable ? fallback.arguments[0] : fallback, bindable));
    }
    const named = new Set(props.map((prop) => prop.name));
    if (rest)
      for (const [name, member] of members)
        if (!named.has(name)) props.push(this.#prop(name, member, undefined, false));
    return { props, rest: rest && !members.size };
  }

  /** Svelte 4: `export let a, b = 1` and `export { c as d }`; the component may write every one of them. */
  legacy(script: Node[]): Prop[] {
    const variables = new Map<string, { declarator: Node; at: Node }>();
    const props: Prop[] = [];
    const add = (name: string, { declarator, at }: { declarator: Node; at: Node }) => {
      const annotation = declarator.id.typeAnnotation?.typeAnnotation;
      const said = jsdoc(at) ?? { type: '', optional: false, doc: '' };
      const member = annotation ? { ...said, type: this.#text(annotation) } : said;
      props.push(this.#prop(name, member, declarator.init ?? undefined, true));
    };
    for (const statement of script) {
      const declaration = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
      if (declaration?.type !== 'VariableDeclaration' || declaration.kind === 'const') continue;
      for (const declarator of declaration.declarations as Node[]) {
        if (declarator.id.type !== 'Identifier') continue;
        if (statement !== declaration) add(declarator.id.name, { declarator, at: statement });
        else variables.set(declarator.id.name, { declarator, at: statement });
      }
    }
    for (const statement of script) {
      if (statement.type !== 'ExportNamedDeclaration' || statement.declaration) continue;
      for (const { local, exported } of statement.specifiers as Node[]) {
        const variable = variables.get(local.name);
        if (variable) add(exported.name, variable);
      }
    }
    return props;
  }

  #prop(name: string, member: Member | undefined, fallback: Node | undefined, bindable: boolean): Prop {
    const { type = '', optional = false, doc = '' } = member ?? {};
    const prop: Prop = { name, type, required: !fallback && !optional, bindable, doc };
    if (!fallback) return prop;
    const constant = constantOf(fallback);
    if (constant) prop.value = constant.value;
    else prop.code = this.#text(fallback);
    return prop;
  }

  #typed(node: Node | undefined): Map<string, Member> {
    if (node?.type === 'TSTypeLiteral') return this.#members(node.members);
    if (node?.type === 'TSTypeReference') return this.#types.get(node.typeName.name) ?? new Map();
    if (node?.type === 'TSIntersectionType') return new Map(node.types.flatMap((part: Node) => [...this.#typed(part)]));
    return new Map();
  }

  #members(nodes: Node[]): Map<string, Member> {
    const members = new Map<string, Member>();
    for (const node of nodes) {
      const name = node.key?.name ?? node.key?.value;
      if (name === undefined) continue;
      const annotation = node.typeAnnotation?.typeAnnotation;
      const type = annotation ? this.#text(annotation) : node.type === 'TSMethodSignature' ? 'function' : '';
      members.set(String(name), { type, optional: node.optional ?? false, doc: jsdoc(node)?.doc ?? '' });
    }
    return members;
  }

  #text(node: Node): string {
    return this.source.slice(node.start, node.end).replace(/\s+/g, ' ');
  }
}

function propsDeclarator(statement: Node): Node | undefined {
  if (statement.type !== 'VariableDeclaration') return undefined;
  return statement.declarations.find(
    ({ init }: Node) =>
      init?.type === 'CallExpression' && init.callee.type === 'Identifier' && init.callee.name === '$props',
  );
}

/** The value of an expression that needs nothing to be known; undefined where it needs something. */
function constantOf(node: Node): { value: unknown } | undefined {
  switch (node.type) {
    case 'Literal':
      return node.regex || node.bigint ? undefined : { value: node.value };
    case 'TemplateLiteral':
      return node.expressions.length ? undefined : { value: node.quasis[0].value.cooked };
    case 'UnaryExpression': {
      const inner = constantOf(node.argument);
      return typeof inner?.value === 'number' && node.operator === '-' ? { value: -inner.value } : undefined;
    }
    case 'ArrayExpression': {
      const items = node.elements.map((item: Node | null) => item && constantOf(item));
      return items.every(Boolean) ? { value: items.map((item: { value: unknown }) => item.value) } : undefined;
    }
    case 'ObjectExpression': {
      const pairs: [string, unknown][] = [];
      for (const property of node.properties as Node[]) {
        const constant = property.type === 'Property' && !property.computed ? constantOf(property.value) : undefined;
        if (!constant) return undefined;
        pairs.push([property.key.name ?? String(property.key.value), constant.value]);
      }
      return { value: Object.fromEntries(pairs) };
    }
    case 'TSAsExpression':
    case 'TSSatisfiesExpression':
      return constantOf(node.expression);
    default:
      return undefined;
  }
}

/** Type and text of the comment before a declaration. */
function jsdoc(node: Node): Member | undefined {
  const comment = node.leadingComments?.findLast(isDoc);
  if (!comment) return undefined;
  const text = plain(comment.value);
  const type = text.match(/@type\s*\{([^}]*(?:\{[^}]*\}[^}]*)*)\}/);
  const doc = text.replace(type?.[0] ?? '', '').trim();
  return { type: type?.[1].trim().replace(/=$/, '') ?? '', optional: type?.[1].trim().endsWith('=') ?? false, doc };
}

/** `<!-- @component … -->`, or the comment that opens the script, as long as it speaks of no prop. */
function docOf(root: Node, script: Node[]): string {
  const marked = (root.fragment.nodes as Node[]).find(
    (node) => node.type === 'Comment' && /^\s*@component\b/.test(node.data),
  );
  if (marked) return plain(marked.data).replace(/^\s*@component\s*/, '');
  const first: Node | undefined = script[0]?.leadingComments?.find(isDoc);
  const onProp = script[0]?.type === 'ExportNamedDeclaration' && script[0].leadingComments?.length === 1;
  return first && !onProp && !/@type\b/.test(first.value) ? plain(first.value) : '';
}

function isDoc(comment: Node): boolean {
  return comment.type === 'Block' && comment.value.startsWith('*');
}

/** A comment's text without its stars and without the indent that its lines share. */
function plain(comment: string): string {
  const lines = comment
    .replace(/^\*/, '')
    .split('\n')
    .map((line) => line.replace(/^\s*\*( |$)/, '').trimEnd());
  const indents = lines
    .slice(1)
    .filter(Boolean)
    .map((line) => line.search(/\S/));
  const indent = indents.length ? Math.min(...indents) : 0;
  return lines
    .map((line, i) => (i ? line.slice(indent) : line.trim()))
    .join('\n')
    .trim();
}
