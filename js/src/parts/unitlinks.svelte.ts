/** Neurons and positions of a view as one with the figure's selection and hover; a neuron is a number and its layer. */
import type { Figure, Hover } from '../figure.svelte';
import type { Change } from '../selection';
import type { Spot } from './matrix';
import type { Links } from './matrixlinks.svelte';
import type { Unit } from './units';

interface Of {
  figure: Figure;
  /** Of the selection; null where units stand on none and are picked in this view alone. */
  axis: 'neurons' | 'features' | null;
  /** By which layers go. */
  numbers: (number | null)[];
  /** The layer that is open at first. */
  open: number;
  /** The units that stand side by side. */
  shown: number[];
}

const HOVERS = { neurons: 'neuron', features: 'feature' } as const;

export class UnitLinks implements Links {
  #of: () => Of;
  #chosen = $state.raw<{ layers: number[]; open: number }>();
  #pins = $state.raw<Unit[]>([]);
  #pointed = $state.raw<{ hover: Hover; id: number | undefined }>();

  /** Place of the layer that is open: the one that was chosen here, or picked last anywhere. */
  open = $derived.by((): number => {
    const { figure, numbers, open } = this.#of();
    const { layers } = figure.selection;
    if (this.#chosen?.layers === layers) return this.#chosen.open;
    const picked = numbers.indexOf(layers.at(-1) ?? null);
    return layers.length && picked >= 0 ? picked : (this.#chosen?.open ?? open);
  });
  pins = $derived.by((): Unit[] => {
    const { figure, axis, numbers } = this.#of();
    if (!axis) return this.#pins;
    const { layers, [axis]: ids } = figure.selection;
    const together = layers.length === ids.length;
    const found = ids.map((id, k) => ({
      id,
      layer: numbers[0] === null ? 0 : together ? numbers.indexOf(layers[k]) : this.open,
    }));
    return found.filter(({ layer, id }, k) => layer >= 0 && found.findIndex((u) => same(u, { layer, id })) === k);
  });
  /** What is pointed at, here or in another view: a position, a unit of the open layer. */
  position = $derived.by(() => this.#of().figure.hover.position);
  unit = $derived.by((): number | undefined => {
    const { figure, axis, numbers } = this.#of();
    const { hover } = figure;
    if (this.#pointed?.hover === hover) return this.#pointed.id;
    const there = hover.layer === undefined || hover.layer === numbers[this.open];
    return axis && there ? hover[HOVERS[axis]] : undefined;
  });
  hovered = $derived.by((): Partial<Spot> => {
    const column = this.unit === undefined ? -1 : this.#of().shown.indexOf(this.unit);
    return { row: this.position, column: column < 0 ? undefined : column };
  });
  picked = $derived.by(() => {
    const { figure, shown } = this.#of();
    const here = this.pins.filter(({ layer }) => layer === this.open);
    return {
      rows: figure.selection.positions,
      columns: here.map(({ id }) => shown.indexOf(id)).filter((column) => column >= 0),
    };
  });

  constructor(of: () => Of) {
    this.#of = of;
  }

  show(open: number): void {
    const { figure, numbers } = this.#of();
    this.#chosen = { layers: figure.selection.layers, open };
    const number = numbers[open];
    if (!this.pins.length && number !== null) figure.pick({ layers: [number] });
  }

  /** Point at a position and a unit of the open layer. */
  point(position: number | undefined, id?: number): void {
    const { figure, axis, numbers } = this.#of();
    if (position === this.position && id === this.unit && this.#pointed) return;
    const hover: Hover = position === undefined ? {} : { position };
    const number = numbers[this.open];
    if (axis && id !== undefined) {
      hover[HOVERS[axis]] = id;
      if (number !== null) hover.layer = number;
    }
    this.#pointed = position === undefined && id === undefined ? undefined : { hover, id };
    figure.hover = hover;
  }

  about(change: Change): Partial<Spot> | undefined {
    const { axis, numbers, shown } = this.#of();
    const id = axis ? change[axis]?.[0] : undefined;
    const here = !change.layers?.length || change.layers[0] === numbers[this.open];
    const column = id !== undefined && here ? shown.indexOf(id) : -1;
    const row = change.positions?.[0];
    if (id === undefined ? row === undefined : column < 0) return undefined;
    return { row, column: column < 0 ? undefined : column };
  }

  hover(spot: Spot | undefined): void {
    if (spot) this.point(spot.row, this.#of().shown[spot.column]);
    else if (this.#pointed) this.point(undefined);
  }

  /** The cell that is picked already is let go. */
  pick(spot: Spot, add: boolean): void {
    const { figure, shown } = this.#of();
    const { positions } = figure.selection;
    const unit = { layer: this.open, id: shown[spot.column] };
    const again = this.pins.length === 1 && same(this.pins[0], unit) && positions.at(-1) === spot.row;
    if (!add && again) this.letGo();
    else this.pin(unit, add, { positions: [spot.row] });
  }

  /** Pin a unit alone, or add it to those that are pinned; one that is goes again. */
  pin(unit: Unit, add: boolean, also: Change = {}): void {
    const others = this.pins.filter((pin) => !same(pin, unit));
    this.#pin(!add ? [unit] : others.length < this.pins.length ? others : [...this.pins, unit], also);
  }

  pickPosition(position: number, add: boolean): void {
    const { figure } = this.#of();
    const { positions } = figure.selection;
    const rest = positions.filter((i) => i !== position);
    const was = rest.length < positions.length;
    figure.pick({ positions: add ? (was ? rest : [...rest, position]) : was && !rest.length ? [] : [position] });
  }

  letGo(): void {
    this.hover(undefined);
    this.#pin([], { positions: [] });
  }

  #pin(pins: Unit[], also: Change): void {
    const { figure, axis, numbers } = this.#of();
    const change: Change = { ...also };
    if (!axis) this.#pins = pins;
    else {
      change[axis] = pins.map(({ id }) => id);
      const layers = pins.map(({ layer }) => numbers[layer]);
      if (pins.length && layers.every((number) => number !== null)) change.layers = layers as number[];
    }
    // What is added from another layer leaves the one open that is looked at.
    const open = this.open;
    figure.pick(change);
    if (pins.length) this.#chosen = { layers: figure.selection.layers, open };
  }
}

function same(a: Unit, b: Unit): boolean {
  return a.layer === b.layer && a.id === b.id;
}
