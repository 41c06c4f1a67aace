/** The runs of a lab bench: which are known, which one is shown, what the kernel is asked for and when. */
import { untrack } from 'svelte';
import { Superseded } from '../backend';
import type { Figure } from '../figure.svelte';
import { sameSelection } from '../selection';
import { say } from '../words';
import { answered, placeOf, runsOf, siteOf, type Run, type RunsJson } from './bench';

/** What there is to run: mechviz/bench.py. */
export interface Runnable {
  /** Of the text, the model and what else the runs are of: another one has other runs. */
  desk?: number;
  modes: string[];
  /** What cannot be changed, and why; figures of before do not say. */
  fixed?: { why: string; sites: string[] }[];
  /** How many edits a table has, and whether they take long. */
  places: number;
  slow: boolean;
  clean: RunsJson;
  table: RunsJson | null;
  /** What is changed at first. */
  edit: string | null;
}

/** Milliseconds that the pointer rests on what will be clicked, and that a run takes which is made before the click. */
const [RESTED, QUICK] = [60, 250];

/** Made while a component is set up. */
export class BenchRuns {
  /** The kind of edit. */
  mode = $state('zero');
  /** The sites that are to be changed. */
  edited = $state.raw<string[]>([]);
  waiting = $state(false);
  failed = $state('');
  /** Edits of the table that were run while nobody waited for another one. */
  scanned = $state(0);
  scanning = $state(false);
  /** Why the rest of the table was not run. */
  stopped = $state('');

  #figure: Figure;
  #view: string;
  #runnable: () => Runnable;
  /** What the kernel has run, and of which desk. */
  #made = $state.raw<{ desk?: number; runs: Record<string, Run> }>({ runs: {} });
  /** The key of what the picture shows, while what is asked for is on its way. */
  #shown = $state.raw('');
  #resting: ReturnType<typeof setTimeout> | undefined;
  /** The run that is made before anybody asks. */
  #begun: { key: string; done: Promise<void> } | undefined;
  #gone = false;
  /** The head or neuron that was picked last. */
  #named: string | undefined;

  constructor(figure: Figure, view: string, runnable: () => Runnable) {
    [this.#figure, this.#view, this.#runnable] = [figure, view, runnable];
    // Beside other views, or shared with other cells, what is picked may be theirs: it would run the model unasked.
    const alone = () => figure.layout.kind === 'view' && !figure.tell;
    let opened: string | null | undefined;
    $effect.pre(() => {
      void this.#desk;
      untrack(() => {
        const { edit, slow } = runnable();
        // At first an address may have picked something else; later the selection comes by itself.
        if (edit !== opened) this.#named = siteOf(opened === undefined ? placeOf(edit ?? '') : figure.selection);
        this.#open(edit === opened ? this.edited : edit ? [edit] : []);
        opened = edit;
        if (figure.live && !slow) void this.scan();
      });
    });
    $effect.pre(() => {
      if (!alone()) return;
      const site = siteOf(figure.selection);
      untrack(() => this.#heed(site));
    });
    $effect(() => () => {
      this.#gone = true;
      this.letRest();
    });
  }

  readonly #desk = $derived.by(() => this.#runnable().desk);
  readonly clean = $derived.by(() => runsOf(this.#runnable().clean)[0]);
  readonly #table = $derived.by(() => this.#runnable().table);
  readonly known = $derived.by<Record<string, Run>>(() => ({
    ...Object.fromEntries((this.#table ? runsOf(this.#table) : []).map((run) => [run.key, run])),
    ...(this.#made.desk === this.#desk ? this.#made.runs : {}),
  }));
  readonly modes = $derived.by(() => {
    const { modes } = this.#runnable();
    if (this.#figure.live) return modes;
    return modes.filter((mode) => Object.keys(this.known).some((key) => key.endsWith(` ${mode}`)));
  });
  /** The one that is shown. */
  readonly run = $derived(this.known[this.#shown] ?? this.clean);
  readonly changed = $derived(this.run !== this.clean);
  /** The sites that are changed in it, and the kind of edit. */
  readonly sites = $derived(this.changed ? sitesOf(this.run) : []);
  readonly how = $derived(this.run.key.slice(this.run.key.lastIndexOf(' ') + 1));
  /** Runs of one site under the kind of edit that is chosen, those that move the logit most first. */
  readonly ranked = $derived(
    Object.values(this.known)
      .filter((one) => one.key.endsWith(` ${this.mode}`) && !one.key.includes('+'))
      .map((one) => ({ one, site: one.key.split(' ')[0], moved: one.logit - this.clean.logit }))
      .sort((a, b) => Math.abs(b.moved) - Math.abs(a.moved)),
  );

  /** Whether a click on a site can show anything. */
  able(site: string): boolean {
    if (!this.#figure.live) return keyOf([site], this.mode) in this.known;
    return !this.#runnable().fixed?.some(({ sites }) => sites.includes(site));
  }

  pick(site: string, add = false): void {
    const on = this.edited.includes(site);
    const rest = this.edited.filter((one) => one !== site);
    if (add && this.#figure.live) this.edited = on ? rest : [...this.edited, site];
    else this.edited = on && this.edited.length === 1 ? [] : [site];
    // Picked once it is shown: the kernel, and whoever else is told, has nothing else to do meanwhile.
    void this.#follow().then((shown) => {
      if (shown) this.#figure.pick(placeOf(this.edited.at(-1) ?? ''));
    });
  }

  turn(how: string): void {
    this.mode = how;
    if (this.edited.length) void this.#follow();
  }

  /** Nothing is changed; nor is picked what was, unless something else is by now. */
  undo(): void {
    const picked = placeOf(this.edited.at(-1) ?? '');
    this.edited = [];
    void this.#follow();
    const { selection } = this.#figure;
    if (sameSelection({ ...selection, ...picked }, selection)) this.#figure.pick(placeOf(''));
  }

  /** Begin, or begin again with what there is to run now: what is changed stays so, and is run for it. */
  #open(edited: string[]): void {
    [this.scanned, this.scanning, this.stopped, this.#shown] = [0, false, '', ''];
    // What Python changes is set to zero; a kind that is no longer there is another one.
    if (edited !== this.edited) [this.edited, this.mode] = [edited, 'zero'];
    if (!this.modes.includes(this.mode)) this.mode = this.modes[0] ?? 'zero';
    void this.#follow();
  }

  /** The address, or Python, has picked another head or neuron, or lets go of it: that is what is changed. */
  #heed(site: string | undefined): void {
    const before = this.#named;
    this.#named = site;
    if (site === before || (site ? this.edited.includes(site) : this.edited.join() !== before)) return;
    this.edited = site ? [site] : [];
    void this.#follow();
  }

  fail(problem: unknown): void {
    if (!(problem instanceof Superseded)) this.failed = wordsOf(problem);
  }

  /** Show what is asked for: at once where it is known, else when the kernel has run it; the newest wins. */
  async #follow(): Promise<boolean> {
    const [key, desk] = [keyOf(this.edited, this.mode), this.#desk];
    const wanted = () => key === keyOf(this.edited, this.mode) && desk === this.#desk;
    this.failed = '';
    if (!key || this.known[key]?.whole || !this.#figure.live) {
      this.waiting = false;
      this.#shown = key;
      if (!key || key in this.known) return true;
      this.undo();
      this.failed = say('bench.absent', { edit: key.replace(' ', ' → ') });
      return false;
    }
    this.waiting = true;
    let run: Run | undefined;
    try {
      if (this.#begun?.key === key) {
        await this.#begun.done;
        if (!wanted()) return false;
      }
      run = this.known[key]?.whole ? this.known[key] : await this.#ask(this.edited);
    } catch (problem) {
      if (problem instanceof Superseded || !wanted()) return false;
      this.failed = wordsOf(problem);
      this.waiting = false;
      // What is shown is what the next click goes on from; the same one tries again.
      this.edited = [...this.sites];
      return false;
    }
    if (!wanted()) return false; // something else was clicked since, or the text is another one
    this.waiting = false;
    if (!run) return false;
    // A site that was typed is from here on called as its button is.
    [this.edited, this.#shown] = [sitesOf(run), run.key];
    return true;
  }

  async #ask(sites: string[], how?: { channel: string; background: boolean }): Promise<Run | undefined> {
    const answer = await this.#figure.ask(this.#view, 'run', { sites, mode: this.mode }, how);
    const runs = answer ? answered(this.#desk, answer.value, answer.arrays) : [];
    this.#keep(runs);
    return runs[0];
  }

  /** A scan may send no thumbnails: a run that has them stays. */
  #keep(runs: Run[]): void {
    const fresh = runs.filter((one) => !this.known[one.key]?.whole).map((one) => [one.key, one]);
    const before = this.#made.desk === this.#desk ? this.#made.runs : {};
    this.#made = { desk: this.#desk, runs: { ...before, ...Object.fromEntries(fresh) } };
  }

  // --- before anybody asks

  /**
   * The pointer or the focus is on a site, or on none: the next click will be there, so its run is made where that is quick;
   * at once where a button is pressed.
   */
  rest(site: string | undefined, pressed = false): void {
    this.letRest();
    if (!site || !this.#figure.live || this.edited.includes(site)) return;
    // The very first one may have taken long.
    const quickest = Math.min(this.clean.took, ...Object.values(this.known).map(({ took }) => took));
    if (quickest > QUICK) return;
    if (pressed) this.#begin(site);
    else this.#resting = setTimeout(() => this.#begin(site), RESTED);
  }

  letRest(): void {
    clearTimeout(this.#resting);
  }

  #begin(site: string): void {
    const key = keyOf([site], this.mode);
    if (this.known[key]?.whole || this.waiting || this.#begun?.key === key) return;
    // What goes wrong is told by the click, which asks again.
    const done = this.#ask([site], { channel: 'ready', background: true }).then(
      () => {},
      () => {},
    );
    const begun = (this.#begun = { key, done });
    void done.then(() => this.#begun === begun && (this.#begun = undefined));
  }

  /** All edits of the table, one after the other, while nobody waits for another one. */
  async scan(): Promise<void> {
    const desk = this.#desk;
    const wanted = () => !this.#gone && desk === this.#desk;
    this.scanning = true;
    this.stopped = '';
    try {
      while (wanted() && this.scanned < this.#runnable().places) {
        if (this.waiting) {
          await new Promise((done) => setTimeout(done, 30));
          continue;
        }
        const answer = await this.#figure.ask(this.#view, 'scan', { from: this.scanned });
        if (!answer || !wanted()) break;
        const runs = answered(desk, answer.value, answer.arrays);
        this.#keep(runs.filter((one) => !(one.key in this.known)));
        this.scanned = (answer.value as { next: number }).next;
      }
    } catch (problem) {
      // The list is as long as it got, and a click goes on from there.
      if (wanted() && !(problem instanceof Superseded)) this.stopped = wordsOf(problem);
    }
    if (wanted()) this.scanning = false;
  }
}

/** "L1H0+L0.mlp zero"; "" where nothing is changed. */
export function keyOf(sites: string[], mode: string): string {
  return sites.length ? `${sites.join('+')} ${mode}` : '';
}

function sitesOf({ key }: Run): string[] {
  return key.slice(0, key.lastIndexOf(' ')).split('+');
}

function wordsOf(problem: unknown): string {
  return problem instanceof Error ? problem.message : String(problem);
}
