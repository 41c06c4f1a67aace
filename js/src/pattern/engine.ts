/** Where rectangles of factored heads are computed: in a worker, or where none may start, here in small pieces. */
import { arithmetic, calculator, type Band, type Factors, type Order, type Rectangle } from './arithmetic';

/** Milliseconds of work at a time: in a worker, and between two frames. */
const [ASIDE, HERE] = [25, 8];

type Listener = (band: Band) => void;

export class Engine {
  /** Undefined until something is asked for. */
  worker?: Worker | 'refused';
  #post!: (order: Order) => void;
  #heads = new Map<number, { factors: Factors; listener: Listener; pending: Map<string, Rectangle> }>();
  #last = 0;

  constructor(readonly aside = true) {}

  /** Take in a head; returns the number that it goes by. */
  add(factors: Factors, listener: Listener): number {
    const head = ++this.#last;
    this.#heads.set(head, { factors, listener, pending: new Map() });
    this.#start();
    this.#post({ head, factors });
    return head;
  }

  /** Bands of it are sent to the head's listener as they are done, what is asked last first. */
  ask(head: number, name: string, rectangle: Rectangle): void {
    this.#heads.get(head)?.pending.set(name, rectangle);
    this.#post({ head, name, rectangle });
  }

  remove(head: number): void {
    if (this.#heads.delete(head)) this.#post({ head, factors: null });
  }

  #start(): void {
    if (this.worker) return;
    const hear = (band: Band) => {
      const known = this.#heads.get(band.head);
      if (band.done) known?.pending.delete(band.name);
      known?.listener(band);
    };
    const refused = () => {
      this.worker = 'refused';
      this.#post = calculator(arithmetic(), hear, HERE);
      for (const [head, { factors, pending }] of this.#heads) {
        this.#post({ head, factors });
        for (const [name, rectangle] of pending) this.#post({ head, name, rectangle });
      }
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
      refused();
    }
  }
}

/** One for all figures of a page. */
export const engine = new Engine();
