/** A figure in the browser: its views' props with arrays in place, one selection, one hover, the theme. */
import type { Answer, Backend, How } from './backend';
import { isHeard, type Sharer } from './bus';
import type { Paper } from './export/paper';
import type { Lent } from './lent';
import { changed, emptySelection, sameSelection, type Change, type Selection } from './selection';
import type { StyleJson } from './style';
import type { Header, NdArray } from './wire';

/** What Python sends (mechviz/view.py): plain JSON in which `{"$array": id}` stands for an array. */
export interface FigureJson {
  layout: Layout;
  views: Record<string, ViewJson>;
  arrays: Record<string, Header>;
  selection: Partial<Selection>;
  /** Of several figures for one place the one with the larger number is newer; a transport may swap two. */
  version?: number;
  /** Selections with one id are one selection, also across cells. */
  selection_id?: string;
  /** Defaults of `mv.style`. */
  style?: StyleJson;
  /** Drawn for print. */
  paper?: Paper;
  /** Modules of users' components by key; only the full bundle runs them (user/modules.ts). */
  code?: Record<string, unknown>;
}
/** `columns` and `names` belong to grids and tabs (mechviz/layouts.py). */
export type Layout =
  | { kind: 'view'; id: string }
  | { kind: 'row' | 'column'; items: Layout[] }
  | { kind: 'grid'; columns: number; items: Layout[] }
  | { kind: 'tabs'; names: string[]; items: Layout[] };
export interface ViewJson {
  kind: string;
  props: Record<string, unknown>;
}

/** An array that is fetched when a view opens it. `value` is reactive. */
export class LazyArray {
  value = $state.raw<NdArray>();
  /** This file does not hold it (a frozen twin keeps what was on screen). */
  absent = $state(false);
  #loading?: Promise<NdArray | undefined>;

  constructor(
    readonly id: string,
    readonly header: Header,
    readonly fetch: (id: string) => Promise<NdArray | undefined>,
  ) {
    this.absent = header.absent ?? false;
  }

  load(): Promise<NdArray | undefined> {
    if (this.absent) return Promise.resolve(undefined);
    this.#loading ??= this.fetch(this.id).then(
      (array) => {
        this.value = array;
        this.absent = array === undefined;
        return array;
      },
      (error) => {
        this.#loading = undefined; // a later opening may succeed
        throw error;
      },
    );
    return this.#loading;
  }
}

/** What the pointer or the keyboard is on, for the views of one figure; it never leaves the browser. */
export interface Hover {
  layer?: number;
  head?: number;
  query?: number;
  key?: number;
  position?: number;
  /** Which of several texts the position is in. */
  text?: number;
  neuron?: number;
  feature?: number;
  step?: number;
}

const NOTHING: Hover = {};

export interface View {
  id: string;
  kind: string;
  /** The props of the component: JSON with `NdArray` and `LazyArray` in place of the references. */
  props: Record<string, unknown>;
}

export class Figure implements Sharer {
  layout = $state.raw<Layout>({ kind: 'column', items: [] });
  views = $state.raw<Record<string, View>>({});
  selection = $state.raw<Selection>(emptySelection());
  /** Drawn for print: nothing is pointed at, and what is picked stays. */
  paper = $state.raw<Paper>();
  /** What a view of this figure lends to texts, and what is lent to its own, also by another figure (bus.ts). */
  lends: Lent | undefined;
  lent = $state.raw<Lent>();
  tellLent?: (lent: Lent | undefined) => void;
  /** What stands above the picture when it is not what Python meant to show. */
  problem = $state<string>();
  /** Its width in CSS pixels when it was mounted: what a view goes by until it has measured its own. */
  width = 0;
  /** Defaults that views begin with. */
  style: StyleJson = {};
  /** Tells the other figures of the document that share the selection (bus.ts). */
  tell?: (selection: Selection) => string;
  /** The last pick that each of the others has told this one of. */
  readonly heard = new Map<string, number>();
  /** Modules of users' components (user/modules.ts). */
  code = $state.raw<Record<string, unknown>>({});
  #hover = $state.raw<Hover>({});
  #theme = $state<'light' | 'dark'>('light');
  #lazies = new Map<string, LazyArray>();
  #arrays = new Map<string, NdArray>();
  #updates = 0;
  #version = 0;

  constructor(
    readonly backend: Backend,
    /** The element that carries the design tokens (the shadow host). */
    readonly host: HTMLElement,
  ) {}

  get hover(): Hover {
    return this.paper ? NOTHING : this.#hover;
  }

  set hover(hover: Hover) {
    this.#hover = hover;
  }

  /** Set by mount from the luminance of the ground; colours must be read again when it changes, or on paper. */
  get theme(): 'light' | 'dark' {
    return this.paper ? 'light' : this.#theme;
  }

  set theme(theme: 'light' | 'dark') {
    this.#theme = theme;
  }

  get live(): boolean {
    return this.backend.live;
  }

  /** Take a new figure from Python; resolves when every array of the first picture is here. */
  async update(json: FigureJson): Promise<void> {
    const version = json.version ?? this.#version;
    if (version < this.#version) return;
    this.#version = version;
    const mine = ++this.#updates;
    if (json.code) this.code = json.code;
    const eager = Object.entries(json.arrays).filter(([, header]) => !header.lazy);
    const arrays = new Map(
      await Promise.all(eager.map(async ([id]) => [id, this.#arrays.get(id) ?? (await this.#must(id))] as const)),
    );
    if (mine !== this.#updates) return; // a newer figure came while these arrays were on their way
    const lazies = new Map<string, LazyArray>();
    for (const [id, header] of Object.entries(json.arrays)) {
      if (!header.lazy) continue;
      const known = this.#lazies.get(id);
      lazies.set(id, known ?? new LazyArray(id, header, (wanted) => this.backend.load(wanted)));
    }
    this.#arrays = arrays;
    this.#lazies = lazies;
    this.views = Object.fromEntries(
      Object.entries(json.views).map(([id, view]) => [
        id,
        { id, kind: view.kind, props: this.#fill(view.props) as Record<string, unknown> },
      ]),
    );
    this.layout = json.layout;
  }

  /** The selection as Python has set it, or another figure. */
  receive({ origin, ...selection }: Partial<Selection> & { origin?: string }): void {
    if (isHeard(this.heard, origin)) return;
    const next = { ...emptySelection(), ...selection };
    if (!sameSelection(next, this.selection)) this.selection = next;
  }

  /** The reader picked something: every view of the figure follows, and Python sees it. */
  pick(change: Change): void {
    if (this.paper) return;
    const next = changed(this.selection, change);
    if (sameSelection(next, this.selection)) return;
    this.selection = next;
    const origin = this.tell?.(next);
    this.backend.writeSelection?.(next, origin);
  }

  /** Colours for the texts of this figure and of those that share its selection; returns what takes them back. */
  lend(lent: Lent): () => void {
    const put = (now: Lent | undefined) => {
      this.lends = this.lent = now;
      this.tellLent?.(now);
    };
    put(lent);
    return () => {
      if (this.lends === lent) put(undefined);
    };
  }

  /** Ask the kernel about a view; undefined where there is none. */
  async ask(view: string, name: string, args: unknown, how?: How): Promise<Answer | undefined> {
    return this.backend.ask?.(view, name, args, how);
  }

  async #must(id: string): Promise<NdArray> {
    const array = await this.backend.load(id);
    if (!array) throw new Error(`array ${id} is missing from this figure`);
    return array;
  }

  #fill(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((item) => this.#fill(item));
    if (value === null || typeof value !== 'object') return value;
    const id = (value as { $array?: string }).$array;
    if (id !== undefined) return this.#arrays.get(id) ?? this.#lazies.get(id);
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.#fill(item)]));
  }
}
