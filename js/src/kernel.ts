/** The backend behind a live widget: anywidget's model, custom messages for arrays and questions. */
import type { AnyModel } from "@anywidget/types";
import { Superseded, type Answer, type Backend } from "./backend";
import type { FigureJson } from "./figure.svelte";
import type { Selection } from "./selection";
import { decode, type Header, type NdArray } from "./wire";

/** The traits of mechviz/widget.py. */
export interface WidgetState {
  figure: FigureJson;
  arrays: Record<string, DataView>;
  selection: Selection;
}

interface Waiting<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

interface Question extends Waiting<Answer> {
  channel: string;
  content: { type: "ask"; seq: number; view: string; name: string; args: unknown };
}

interface Message {
  type: "arrays" | "reply" | "error";
  seq?: number;
  headers?: Header[];
  ids?: string[];
  value?: unknown;
  message?: string;
}

export class KernelBackend implements Backend {
  readonly live = true;
  #known = new Map<string, NdArray>();
  #wanted = new Map<string, { promise: Promise<NdArray>; waiting: Waiting<NdArray> }>();
  #toAsk: string[] = [];
  #questions = new Map<number, Question>();
  /** Per channel: the question in flight, and the newest that waits behind it. */
  #flying = new Map<string, number>();
  #next = new Map<string, Question>();
  #seq = 0;

  constructor(readonly model: AnyModel<WidgetState>) {
    model.on("msg:custom", (content: Message, buffers: DataView[]) => this.#receive(content, buffers));
  }

  async load(id: string): Promise<NdArray> {
    const known = this.#known.get(id) ?? this.#pushed(id);
    return known ?? this.#want(id);
  }

  ask(view: string, name: string, args: unknown): Promise<Answer> {
    const seq = ++this.#seq;
    const channel = `${view}/${name}`;
    return new Promise((resolve, reject) => {
      const question: Question = { resolve, reject, channel, content: { type: "ask", seq, view, name, args } };
      if (!this.#flying.has(channel)) return this.#send(question);
      this.#next.get(channel)?.reject(new Superseded("a newer question took its place"));
      this.#next.set(channel, question);
    });
  }

  writeSelection(selection: Selection): void {
    this.model.set("selection", selection);
    this.model.save_changes();
  }

  /** Arrays of the first picture come with the widget's state, before anything is asked. */
  #pushed(id: string): NdArray | undefined {
    const bytes = this.model.get("arrays")[id];
    const header = this.model.get("figure").arrays[id];
    return bytes && header ? this.#keep(id, header, bytes) : undefined;
  }

  #keep(id: string, header: Header, bytes: DataView): NdArray {
    const array = decode(header, bytes);
    this.#known.set(id, array);
    return array;
  }

  #want(id: string): Promise<NdArray> {
    const known = this.#wanted.get(id);
    if (known) return known.promise;
    let waiting!: Waiting<NdArray>;
    const promise = new Promise<NdArray>((resolve, reject) => (waiting = { resolve, reject }));
    this.#wanted.set(id, { promise, waiting });
    this.#toAsk.push(id);
    // One message for all that one picture asks for.
    if (this.#toAsk.length === 1) {
      queueMicrotask(() => this.model.send({ type: "arrays", ids: this.#toAsk.splice(0) }));
    }
    return promise;
  }

  #send(question: Question): void {
    this.#flying.set(question.channel, question.content.seq);
    this.#questions.set(question.content.seq, question);
    this.model.send(question.content);
  }

  #receive(message: Message, buffers: DataView[]): void {
    const headers = message.headers ?? [];
    if (message.type === "arrays") {
      (message.ids ?? []).forEach((id, i) => this.#arrived(id, headers[i], buffers[i]));
      return;
    }
    const question = this.#questions.get(message.seq ?? -1);
    if (!question) return this.#failed(message);
    this.#questions.delete(question.content.seq);
    this.#flying.delete(question.channel);
    if (message.type === "error") question.reject(new Error(message.message));
    else question.resolve({ value: message.value, arrays: headers.map((h, i) => decode(h, buffers[i])) });
    const next = this.#next.get(question.channel);
    this.#next.delete(question.channel);
    if (next) this.#send(next);
  }

  #arrived(id: string, header: Header, bytes: DataView): void {
    const array = this.#keep(id, header, bytes);
    this.#wanted.get(id)?.waiting.resolve(array);
    this.#wanted.delete(id);
  }

  /** An error that names arrays instead of a question. */
  #failed(message: Message): void {
    for (const id of message.ids ?? []) {
      this.#wanted.get(id)?.waiting.reject(new Error(message.message));
      this.#wanted.delete(id);
    }
  }
}
