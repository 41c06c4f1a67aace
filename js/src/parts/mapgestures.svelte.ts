/** What fingers, the button and the wheel do to the part of a map that is shown: move it, zoom it, frame another one. */
import type { Cell } from '../pattern/pattern';
import type { MapZoom } from './mapzoom.svelte';

type Point = readonly [x: number, y: number];

/** Where an event is in the element that hears it. */
export function spot(event: MouseEvent): Point {
  const { left, top } = (event.currentTarget as Element).getBoundingClientRect();
  return [event.clientX - left, event.clientY - top];
}

export class MapGestures {
  #zoom: MapZoom;
  /** Fingers and buttons that are down, where they are. */
  #held = new Map<number, Point>();
  #drag: { at: Point; from: Cell; frames: boolean; moved: boolean } | undefined;
  /** The upper left and the lower right corner of the frame that is drawn. */
  frame = $state.raw<[Point, Point]>();
  /** What was pressed last has been moved: no click comes of it. */
  dragged = false;

  constructor(zoom: MapZoom) {
    this.#zoom = zoom;
  }

  press = (event: PointerEvent): void => {
    if (event.button) return;
    const at = spot(event);
    this.#held.set(event.pointerId, at);
    this.dragged = false;
    const { on, plan } = this.#zoom;
    // One finger scrolls the page unless a part is shown.
    const may = event.pointerType !== 'touch' || on;
    this.#drag =
      may && this.#held.size === 1 ? { at, from: plan.from, frames: event.shiftKey || !on, moved: false } : undefined;
  };

  /** Where the pointer is, unless something is moved with it. */
  move(event: PointerEvent): Point | undefined {
    const [x, y] = spot(event);
    const before = this.#held.get(event.pointerId);
    if (before && this.#held.size === 2) {
      const [other] = [...this.#held].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const apart = (place: Point) => Math.hypot(place[0] - other[0], place[1] - other[1]);
      this.dragged = true;
      this.#held.set(event.pointerId, [x, y]);
      this.#zoom.by(apart([x, y]) / Math.max(1, apart(before)), (x + other[0]) / 2, (y + other[1]) / 2);
      return undefined;
    }
    const drag = this.#drag;
    if (!drag) return [x, y];
    const [x0, y0] = drag.at;
    if (!drag.moved && Math.hypot(x - x0, y - y0) > 4) {
      drag.moved = this.dragged = true;
      if (event.isTrusted) (event.currentTarget as Element).setPointerCapture(event.pointerId);
    }
    if (!drag.moved) return undefined;
    const { step, cell } = this.#zoom.plan;
    const each = step / cell;
    if (drag.frames)
      this.frame = [
        [Math.min(x, x0), Math.min(y, y0)],
        [Math.max(x, x0), Math.max(y, y0)],
      ];
    else this.#zoom.at({ query: drag.from.query - (y - y0) * each, key: drag.from.key - (x - x0) * each });
    return undefined;
  }

  release = (event: PointerEvent): void => {
    this.#held.delete(event.pointerId);
    this.#drag = undefined;
    if (this.frame) this.#zoom.frame(...this.frame);
    this.frame = undefined;
  };

  wheel = (event: WheelEvent): void => {
    // The page scrolls under the pointer unless a part is shown or it is meant.
    if (!(event.ctrlKey || event.metaKey || this.#zoom.on)) return;
    event.preventDefault();
    const slow = event.ctrlKey && Math.abs(event.deltaY) < 50;
    this.#zoom.by(Math.exp(-event.deltaY * (slow ? 0.01 : 0.002)), ...spot(event));
  };
}
