/** The backend behind a live widget: anywidget's model, custom messages for arrays and questions. */
import type { AnyModel } from '@anywidget/types';
import { Superseded, type Answer, type Backend, type How } from './backend';
import type { FigureJson } from './figure.svelte';
import type { Selection } from './selection';
import { decode, type Header, type NdArray } from './wire';
import { say } from './words';

/** The traits of mechviz/widget.py. */
export interface WidgetState {
  figure: FigureJson;
  arrays: Record<string, DataView>;
  /** `origin`: the pick in a browser that it comes from, where figures share it. */
  selection: Selection & { origin?: string };
  /** Modules of users' components. */
  code?: Record<string, unknown>;
}

interface Waiting<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

interface Question extends Waiting<Answer> {
  channel: string;
  content: { type: 'ask'; seq: number; view: string; name: string; args: unknown; background?: boolean };
}

type Message =
  | { type: 'array'; id: string; header: Header }
  | { type: 'reply'; seq: number; value: unknown; headers: Header[] }
  | { type: 'error'; message: string; seq?: number; id?: string };

export class KernelBackend implements Backend {
  readonly live = true;
  #known = new Map<string, NdArray>();
  #wanted = new Map<string, { promise: Promise<NdArray>; waiting: Waiting<NdArray> }>();
  #toAsk: string[] = [];
  #questions = new Map<number, Question>();
  /** Channels with a question in flight, and the newest that waits behind it. */
  #flying = new Set<string>();
  #next = new Map<string, Question>();
  #seq = 0;

  constructor(readonly model: AnyModel<WidgetState>) {
    model.on('msg:custom', (content: Message, buffers: DataView[]) => this.#receive(content, buffers));
    model.on('change:figure', () => this.#forget());
  }

  async load(id: string): Promise<NdArray> {
    return this.#known.get(id) ?? this.#pushed(id) ?? this.#want(id);
  }

  ask(view: string, name: string, args: unknown, { channel: own, background }: How = {}): Promise<Answer> {
    const seq = ++this.#seq;
    const channel = `${view}/${own ?? name}`;
    return new Promise((resolve, reject) => {
      const content: Question['content'] = { type: 'ask', seq, view, name, args, ...(background && { background }) };
      const question: Question = { resolve, reject, channel, content };
      if (!this.#flying.has(channel)) return this.#send(question);
      this.#next.get(channel)?.reject(new Superseded('a newer question took its place'));
      this.#next.set(channel, question);
    });
  }

  async file(kind: 'html' | 'json'): Promise<Blob> {
    const { arrays } = await this.ask('', 'file', kind);
    return new Blob([arrays[0].data as Uint8Array<ArrayBuffer>]);
  }

  writeSelection(selection: Selection, origin?: string): void {
    this.model.set('selection', origin ? { ...selection, origin } : selection);
    this.model.save_changes();
  }

  /** Arrays of the first picture come with the widget's state, before anything is asked. */
  #pushed(id: string): NdArray | undefined {
    const bytes = this.model.get('arrays')[id];
    const header = this.model.get('figure').arrays[id];
    return bytes && header ? this.#keep(id, header, bytes) : undefined;
  }

  /** Arrays that the figure no longer names; a picture that is updated for hours would keep them all. */
  #forget(): void {
    const { arrays } = this.model.get('figure');
    for (const id of this.#known.keys()) if (!(id in arrays)) this.#known.delete(id);
  }

  #keep(id: string, header: Header, bytes: DataView): NdArray {
    const array = decode(header, bytes);
    this.#known.set(id, array);
    return array;
  }

  #want(id: string): Promise<NdArray> {
    const wanted = this.#wanted.get(id);
    if (wanted) return wanted.promise;
    let waiting!: Waiting<NdArray>;
    const promise = new Promise<NdArray>((resolve, reject) => (waiting = { resolve, reject }));
    this.#wanted.set(id, { promise, waiting });
    this.#toAsk.push(id);
    // One message for all that one picture asks for.
    if (this.#toAsk.length === 1) {
      queueMicrotask(() => {
        const ids = this.#toAsk.splice(0);
        this.#say({ type: 'arrays', ids }, (gone) => ids.forEach((id) => this.#take(id)?.reject(gone)));
      });
    }
    return promise;
  }

  #send(question: Question): void {
    this.#flying.add(question.channel);
    this.#questions.set(question.content.seq, question);
    this.#say(question.content, (gone) => this.#answered(question.content.seq)?.reject(gone));
  }

  /** Hosts throw where the kernel of a widget is gone ("Cannot send"): nothing that waits would ever have its answer. */
  #say(content: unknown, lost: (gone: Error) => void): void {
    try {
      this.model.send(content);
    } catch {
      lost(new Error(say('state.gone')));
    }
  }

  #receive(message: Message, buffers: DataView[]): void {
    if (message.type === 'array') {
      const waiting = this.#take(message.id);
      try {
        const array = this.#keep(message.id, message.header, buffers[0]);
        waiting?.resolve(array);
      } catch (error) {
        waiting?.reject(error as Error); // bytes that do not fit their header: told to who waits, not to the console
      }
    } else if (message.type === 'reply') {
      const question = this.#answered(message.seq);
      try {
        const arrays = message.headers.map((header, i) => decode(header, buffers[i]));
        question?.resolve({ value: message.value, arrays });
      } catch (error) {
        question?.reject(error as Error);
      }
    } else {
      const waiting = message.seq === undefined ? this.#take(message.id ?? '') : this.#answered(message.seq);
      waiting?.reject(new Error(message.message));
    }
  }

  /** Who waits for an array; it is waited for no longer. */
  #take(id: string): Waiting<NdArray> | undefined {
    const waiting = this.#wanted.get(id)?.waiting;
    this.#wanted.delete(id);
    return waiting;
  }

  /** The question that has its answer; the one behind it is sent. */
  #answered(seq: number): Question | undefined {
    const question = this.#questions.get(seq);
    if (!question) return undefined;
    const { channel } = question;
    this.#questions.delete(seq);
    this.#flying.delete(channel);
    const next = this.#next.get(channel);
    this.#next.delete(channel);
    if (next) this.#send(next);
    return question;
  }
}
