/**
 * Heads that stay in the kernel: tiles come from there in bands of rows, rows and single cells when they are pointed at.
 * One question of a purpose is in flight at a time, and the newest waits behind it; what fills a picture slowly (an
 * overview, thumbnails) waits until everything else has its answer.
 */
import { Superseded, type Answer, type How } from '../backend';
import type { Cut } from './arithmetic';
import type { Cell, Direction, Edges, Line, Pattern, Pooling, Range, Reading, Tile } from './pattern';
import { Tiles } from './tiles';

/** How the kernel is asked: by the name of an answer in mechviz/views/_pattern_remote.py. */
export type AskKernel = (name: string, args: object, how?: How) => Promise<Answer | undefined>;

/** What mechviz/views/_attention_sheet.py sends of a head that stays in the kernel. */
export interface RemoteJson {
  remote: [queries: number, keys: number];
  /** Weights may be negative: they are differences. */
  signed?: boolean;
}

/** Milliseconds after which the reader is told that the kernel is busy, and after which a question is given up. */
const LATE = 1500;
/** Rows, columns and cells that are kept. */
const KEPT = 64;

export class Remote implements Pattern {
  readonly precision = 'exact';
  readonly queries: number;
  readonly keys: number;
  readonly signed: boolean;
  #key: string | undefined;
  #told = false;
  #lines = new Map<string, Line | null>();
  #peaks = new Map<string, Cell | null>();
  #waiting = 0;
  #late = false;
  #problem = '';
  /** Tiles that somebody looks at; the last one is asked for first. */
  #wanted: { name: string; cut: Cut; next: number; background: boolean }[] = [];
  #flying = new Set<string>();
  #failed = new Set<string>();
  #tiles: Tiles;

  constructor(
    readonly ask: AskKernel,
    readonly json: RemoteJson,
    readonly causal: boolean,
    /** As the view counts them. */
    readonly heads: number[],
    /** Nobody waits for it: its tiles come after everything else. */
    readonly behind = false,
    readonly reading?: Reading,
  ) {
    [this.queries, this.keys] = json.remote;
    this.signed = !!json.signed || !!reading?.columns?.some((factors) => factors.some((factor) => factor < 0));
    this.#key = reading && keyOf(reading, heads);
    this.#tiles = new Tiles(
      this.queries,
      this.keys,
      (name, cut) => this.#want(name, cut),
      () => (this.#wanted = []),
    );
  }

  /** The kernel has not answered for a while: it may be busy with a cell. */
  get late(): boolean {
    this.#tiles.subscribe();
    return this.#late;
  }

  /** What went wrong with the last question. */
  get problem(): string {
    this.#tiles.subscribe();
    return this.#problem;
  }

  line(direction: Direction, index: number): Line | undefined {
    return this.lines(direction, [index]);
  }

  lines(direction: Direction, indices: number[]): Line | undefined {
    this.#tiles.subscribe();
    const name = `${direction} ${indices}`;
    const known = this.#lines.get(name);
    if (known === undefined) {
      this.#put(this.#lines, name, null);
      const index = indices.length > 1 ? indices : indices[0];
      void this.#question('line', { direction, index }, { channel: `line ${direction}` }).then((answer) => {
        const whole = answer?.arrays[0].data;
        if (!whole) return void this.#lines.delete(name);
        const start = direction === 'by' && this.causal ? Math.min(...indices) : 0;
        const stop = direction === 'from' && this.causal ? Math.max(...indices) + 1 : whole.length;
        this.#put(this.#lines, name, { start, values: whole.subarray(start, stop) });
        this.#tiles.changed();
      });
    }
    return known ?? undefined;
  }

  /** A tile has been asked for. */
  begun = false;

  tile(
    step: number,
    rows: Range = [0, this.queries],
    cols: Range = [0, this.keys],
    pooling: Pooling = 'max',
  ): Tile | undefined {
    return this.#tiles.squares(step, rows, cols, pooling);
  }

  cut(edges: Edges, pooling: Pooling = 'max'): Tile | undefined {
    return this.#tiles.cells(edges, pooling);
  }

  maxima(): ArrayLike<number> | undefined {
    const rows = Array.from({ length: this.queries + 1 }, (_, i) => i);
    const tile = this.cut({ rows, cols: [0, this.keys] });
    return tile && tile.done === tile.rows ? tile.values : undefined;
  }

  peak(rows: Range, cols: Range): Cell | undefined {
    this.#tiles.subscribe();
    const [bottom, right] = [Math.min(rows[1], this.queries), Math.min(cols[1], this.keys)];
    if (this.causal && cols[0] >= bottom) return undefined;
    if (bottom - rows[0] === 1 && right - cols[0] === 1) return { query: rows[0], key: cols[0] };
    const name = `${rows[0]} ${bottom} ${cols[0]} ${right}`;
    const known = this.#peaks.get(name);
    if (known === undefined) {
      this.#put(this.#peaks, name, null);
      void this.#question('peak', { rows: [rows[0], bottom], cols: [cols[0], right] }).then((answer) => {
        if (!answer) return void this.#peaks.delete(name);
        this.#put(this.#peaks, name, answer.value as Cell);
        this.#tiles.changed();
      });
    }
    return known ?? undefined;
  }

  read(reading: Reading, others: Pattern[] = []): Remote {
    const heads = [this, ...(others as Remote[])].flatMap((pattern) => pattern.heads);
    const causal = this.causal && others.every((pattern) => pattern.causal);
    return new Remote(this.ask, this.json, causal, heads, this.behind, reading);
  }

  /** The newest of what is kept stays. */
  #put<T>(kept: Map<string, T>, name: string, value: T): void {
    kept.delete(name);
    kept.set(name, value);
    if (kept.size > KEPT) kept.delete(kept.keys().next().value!);
  }

  #want(name: string, cut: Cut): void {
    this.begun = true;
    // A viewport is a part; the whole of a head can wait.
    const { rows, cols } = cut;
    const all = rows[rows.length - 1] - rows[0] >= this.queries && cols[cols.length - 1] - cols[0] >= this.keys;
    const background = this.behind || all;
    if (!background) this.#drop();
    this.#wanted.push({ name, cut, next: 0, background });
    this.#fetch(background);
  }

  /** Viewports that were left: all but the last one, beside which there may be another. */
  #drop(): void {
    const older = this.#wanted.filter((wanted) => !wanted.background).slice(0, -1);
    for (const { name } of older) this.#tiles.forget(name);
    this.#wanted = this.#wanted.filter((wanted) => !older.includes(wanted));
  }

  /** What could not be had is asked for again by whoever looks at it. */
  retry(): void {
    for (const name of this.#failed) this.#tiles.forget(name);
    this.#failed.clear();
    this.#fail('');
  }

  /** Ask for the next rows of the newest tile, of those that can wait or of those that cannot. */
  #fetch(background: boolean): void {
    const channel = background ? 'overview' : 'tile';
    const job = this.#wanted.filter((wanted) => wanted.background === background).at(-1);
    if (!job || this.#flying.has(channel)) return;
    this.#flying.add(channel);
    const { rows, cols, pooling } = job.cut;
    const args = { rows: sent(rows), cols: sent(cols), pooling, from: job.next, background };
    const how = { channel: `${channel} ${this.heads}`, background };
    void this.#question('cells', args, how).then((answer) => {
      this.#flying.delete(channel);
      const cells = answer?.arrays[0]?.data as Float32Array | undefined;
      const drop = () => (this.#wanted = this.#wanted.filter((other) => other !== job));
      if (!cells) {
        this.#failed.add(job.name);
        drop();
      } else {
        if (cells.length) this.#tiles.receive(job.name, job.next, cells);
        job.next += cells.length / (cols.length - 1);
        if (job.next >= rows.length - 1) drop();
      }
      this.#fetch(background);
    });
  }

  /** Undefined where there is no answer; what went wrong is told. */
  async #question(name: string, args: object, how?: How): Promise<Answer | undefined> {
    const timer = setTimeout(() => this.#tell(true), LATE);
    this.#waiting++;
    try {
      const whole = { ...args, heads: this.heads };
      let answer = await this.ask(name, { ...whole, reading: this.#said(this.#told) }, how);
      if ((answer?.value as { unknown?: boolean } | null)?.unknown) {
        answer = await this.ask(name, { ...whole, reading: this.#said(false) }, how);
      }
      this.#told = true;
      if (this.#problem) this.#fail('');
      return answer;
    } catch (error) {
      if (!(error instanceof Superseded)) this.#fail((error as Error).message);
      return undefined;
    } finally {
      clearTimeout(timer);
      this.#waiting--;
      if (this.#late && !this.#waiting) this.#tell(false);
    }
  }

  #said(known: boolean): object | null {
    if (!this.reading) return null;
    const { columns, rows, combine = 'mean' } = this.reading;
    const factors = { columns: packed(columns), rows: packed(rows) };
    return { key: this.#key, combine, ...(!known && { factors }) };
  }

  #tell(late: boolean): void {
    this.#late = late;
    this.#tiles.changed();
  }

  #fail(problem: string): void {
    this.#problem = problem;
    this.#tiles.changed();
  }
}

/** Edges as they travel: most are as far apart from each other. */
function sent(edges: Int32Array): object {
  const step = edges.length > 2 ? edges[1] - edges[0] : edges[edges.length - 1] - edges[0];
  const last = edges.length - 1;
  const even =
    edges.every((edge, i) => i === last || edge === edges[0] + i * step) && edges[last] - edges[last - 1] <= step;
  return even ? { from: edges[0], to: edges[last], step } : Array.from(edges);
}

function packed(factors: Float32Array[] | undefined): string | null {
  if (!factors) return null;
  let text = '';
  for (const list of factors) for (const byte of new Uint8Array(list.slice().buffer)) text += String.fromCharCode(byte);
  return btoa(text);
}

/** Equal for equal readings: a hash of their numbers (FNV-1a). */
function keyOf({ columns, rows, combine }: Reading, heads: number[]): string {
  let hash = 0x811c9dc5;
  for (const list of [...(columns ?? []), Float32Array.of(NaN), ...(rows ?? [])]) {
    for (const word of new Int32Array(list.slice().buffer)) hash = Math.imul(hash ^ word, 0x01000193);
  }
  return `${combine} ${heads} ${columns?.length ?? 0} ${rows?.length ?? 0} ${hash >>> 0}`;
}
