/** What the reader has pointed at. Every axis is a list; the same words and rules as in Python (mechviz/selection.py). */

export const AXES = [
  'layers',
  'heads',
  'queries',
  'keys',
  'positions',
  'neurons',
  'features',
  'texts',
  'vocabulary',
  'step',
] as const;
export type Axis = (typeof AXES)[number];
export type Selection = Record<Axis, number[]>;
export type Change = Partial<Selection>;

export function emptySelection(): Selection {
  return Object.fromEntries(AXES.map((axis) => [axis, []])) as unknown as Selection;
}

/**
 * The selection after a change. A new `positions` moves `queries` with it and drops `keys`, unless the change says
 * otherwise: a token picked in running text is read as the destination of attention. Other `layers` drop `neurons`, unless
 * the change names them: a neuron is one of its layer, and the same number in another layer is another one.
 */
export function changed(selection: Selection, change: Change): Selection {
  const follows = change.positions && !change.queries && !change.keys;
  const { layers } = change;
  const same =
    layers?.every((one) => selection.layers.includes(one)) && selection.layers.every((one) => layers.includes(one));
  const leaves = layers && selection.layers.length > 0 && !same;
  return {
    ...selection,
    ...(follows ? { queries: change.positions, keys: [] } : {}),
    ...(leaves ? { neurons: [] } : {}),
    ...change,
  };
}

export function sameSelection(a: Selection, b: Selection): boolean {
  return AXES.every((axis) => a[axis].length === b[axis].length && a[axis].every((v, i) => v === b[axis][i]));
}
