/** Colours that a view lends to texts elsewhere. */
import type { Scale } from './scale';
import type { NdArray } from './wire';

/** One number a token of what is picked in one view, such as a neuron: texts of the same tokens in others take its colours. */
export interface Lent {
  /** Of the tokens. */
  labels: string[];
  label: string;
  values: NdArray;
  quantity: { name: string; unit: string };
  scale: Scale;
}
