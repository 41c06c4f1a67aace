/** The rows and columns of a matrix as one with the figure's selection and hover. */
import type { Figure } from '../figure.svelte';
import type { Axis, Change } from '../selection';
import { Track } from './charttrack.svelte';
import type { SideJson, Spot } from './matrix';

/** What is pointed at and picked, and how that changes. */
export interface Links {
  hovered: Partial<Spot>;
  picked: { rows: number[]; columns: number[] };
  /** The cell, row or column that a note is about. */
  about(change: Change): Partial<Spot> | undefined;
  hover(spot: Spot | undefined): void;
  /** `add` keeps what is picked. */
  pick(spot: Spot, add: boolean): void;
  letGo(): void;
}

export class MatrixLinks implements Links {
  #figure: () => Figure;
  #rows: Track;
  #columns: Track;
  #hovering = false;

  /** What is pointed at, here or in another view. */
  hovered = $derived.by((): Partial<Spot> => ({ row: this.#rows.hovered, column: this.#columns.hovered }));
  picked = $derived.by(() => ({ rows: this.#rows.picked, columns: this.#columns.picked }));

  constructor(figure: () => Figure, rows: () => SideJson, columns: () => SideJson) {
    this.#figure = figure;
    this.#rows = new Track(figure, rows, () => rows().count);
    this.#columns = new Track(figure, columns, () => columns().count);
  }

  about(change: Change): Partial<Spot> | undefined {
    const [row, column] = [this.#rows.about(change), this.#columns.about(change)];
    return row === undefined && column === undefined ? undefined : { row, column };
  }

  hover(spot: Spot | undefined): void {
    if (!spot && !this.#hovering) return; // what another view points at stays
    const now = this.hovered;
    if (spot && spot.row === now.row && spot.column === now.column) return;
    this.#hovering = spot !== undefined;
    const hover = spot ? { ...this.#rows.hoverOf(spot.row), ...this.#columns.hoverOf(spot.column) } : {};
    this.#rows.pointed(hover, spot?.row);
    this.#columns.pointed(hover, spot?.column);
    this.#figure().hover = hover;
  }

  /** Pick a cell; once more, and it is let go. */
  pick(spot: Spot): void {
    const { rows, columns } = this.picked;
    const same = rows.length === 1 && columns.length === 1 && rows[0] === spot.row && columns[0] === spot.column;
    this.#choose(same ? undefined : spot);
  }

  letGo(): void {
    this.hover(undefined);
    this.#choose(undefined);
  }

  #choose(spot: Spot | undefined): void {
    const figure = this.#figure();
    const [rows, columns] = [spot ? [spot.row] : [], spot ? [spot.column] : []];
    const change: Change = { ...this.#rows.changeTo(rows) };
    for (const [axis, indices] of Object.entries(this.#columns.changeTo(columns)) as [Axis, number[]][]) {
      // Rows and columns may stand for the same: both are picked.
      change[axis] = [...(change[axis] ?? []), ...indices];
    }
    figure.pick(change);
    this.#rows.own(figure.selection, rows);
    this.#columns.own(figure.selection, columns);
  }
}
