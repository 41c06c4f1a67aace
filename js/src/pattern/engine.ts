/** Where heads are read and pooled: in a worker, or where none may start, here in small pieces. */
import { arithmetic, calculator, type Band, type Cut, type Held, type Order, type Read } from './arithmetic';

/** Milliseconds of work at a time: in a worker, and between two frames. */
const [ASIDE, HERE] = [25, 8];

type Listener = (band: Band) => void;

interface Reader {
  read: Read;
  listener: Listener;
  pending: Map<string, Cut>;
}

export class Engine {
  /** Undefined until something is asked for. */
  worker?: Worker | 'refused';
  #post!: (order: Order) => void;
  #readers = new Map<number, Reader>();
  /** What is held of heads goes there once, however many readings there are of it. */
  #held = new Map<Held, { number: number; readers: number }>();
  #last = 0;

  constructor(readonly aside = true) {}

  /** Take in what is to be read; returns the number that it goes by. */
  add(read: Read, listener: Listener): number {
    const number = ++this.#last;
    const reader = { read, listener, pending: new Map<string, Cut>() };
    this.#readers.set(number, reader);
    if (this.worker) this.#take(number, reader);
    else this.#start();
    return number;
  }

  /** Bands of it are sent to the listener as they are done, what is asked last first. */
  ask(reader: number, name: string, cut: Cut): void {
    this.#readers.get(reader)?.pending.set(name, cut);
    this.#post({ reader, name, cut });
  }

  remove(number: number): void {
    const reader = this.#readers.get(number);
    if (!reader) return;
    this.#readers.delete(number);
    this.#post({ reader: number, read: null });
    for (const head of reader.read.heads) {
      const held = this.#held.get(head)!;
      if (--held.readers) continue;
      this.#held.delete(head);
      this.#post({ held: held.number, head: null });
    }
  }

  #take(reader: number, { read, pending }: Reader): void {
    const heads = read.heads.map((head) => {
      let held = this.#held.get(head);
      if (!held) {
        this.#held.set(head, (held = { number: ++this.#last, readers: 0 }));
        this.#post({ held: held.number, head });
      }
      held.readers++;
      return held.number;
    });
    this.#post({ reader, read: { ...read, heads } });
    for (const [name, cut] of pending) this.#post({ reader, name, cut });
  }

  #takeAll(): void {
    this.#held.clear();
    for (const [number, reader] of this.#readers) this.#take(number, reader);
  }

  #start(): void {
    const hear = (band: Band) => {
      const known = this.#readers.get(band.reader);
      if (band.done) known?.pending.delete(band.name);
      known?.listener(band);
    };
    const refused = () => {
      this.worker = 'refused';
      this.#post = calculator(arithmetic(), hear, HERE);
      this.#takeAll();
    };
    if (!this.aside) return refused();
    try {
      const text = `onmessage=((f)=>(e)=>f(e.data))((${calculator})((${arithmetic})(),(b)=>postMessage(b),${ASIDE}))`;
      const url = URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
      const worker = (this.worker = new Worker(url));
      worker.onmessage = ({ data }) => hear(data as Band);
      // A policy that forbids workers is told of here, and not when one is made.
      worker.onerror = (event) => {
        event.preventDefault();
        worker.terminate();
        refused();
      };
      this.#post = (order) => worker.postMessage(order);
    } catch {
      return refused();
    }
    this.#takeAll();
  }
}

/** One for all figures of a page. */
export const engine = new Engine();
