/** A tokens view for tests, mounted as a page or a widget does it. */
import type { Backend } from '../src/backend';
import type { Figure } from '../src/figure.svelte';
import { mountFigure } from '../src/mount';
import type { Selection } from '../src/selection';
import type { Header, NdArray } from '../src/wire';

export const EMBER = { ramp: 'ember', limits: [0, 4] };
export const SIGNED = { ramp: 'signed', limits: [-4, 4] };

export interface Mounted {
  figure: Figure;
  root: ShadowRoot;
  /** What Python was told. */
  written: Selection[];
}

export const array = (data: NdArray['data'], shape = [data.length]): NdArray => ({ data, shape, precision: 'exact' });

/** What mechviz/views/_token_channels.py sends of one channel. */
export const channel = (label: string, values: number[], more: Record<string, unknown> = {}) => ({
  label,
  values: array(Float32Array.from(values)),
  quantity: { name: label, unit: '' },
  scale: SIGNED,
  reference: null,
  merge: 'mean',
  ...more,
});

/** Props are what mechviz/views/tokens.py sends; arrays anywhere in them are fetched, as in a page. */
export async function mountTokens(
  text: string[],
  values: number[] | null,
  more: Record<string, unknown>,
  signal: AbortSignal,
): Promise<Mounted> {
  const arrays: Record<string, NdArray> = { n_bytes: array(Uint16Array.from(text, (t) => t.length)) };
  if (values) arrays.values = array(Float32Array.from(values));
  const named = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(named);
    if (typeof value !== 'object' || value === null) return value;
    if (!('precision' in value)) return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, named(v)]));
    const id = `array ${Object.keys(arrays).length}`;
    arrays[id] = value as NdArray;
    return { $array: id };
  };
  const { tokens, ...props } = more;
  const written: Selection[] = [];
  const backend: Backend = {
    live: true,
    load: async (id) => arrays[id],
    writeSelection: (selection) => written.push(selection),
  };
  const all = {
    frame: { title: 'Tokens', provenance: ['toy', `${text.length} tokens`], edits: [] },
    tokens: {
      text,
      label: text.map((t) => t.replace(/^ /, '·').replace('\n', '↵')),
      group: text.map((_, i) => i),
      special: text.map(() => false),
      role: text.map(() => null),
      ids: text.map((_, i) => 100 + i),
      piece: text.map(() => ''),
      ...(tokens as object),
    },
    n_bytes: { $array: 'n_bytes' },
    values: values && { $array: 'values' },
    quantity: { name: 'loss', unit: 'nats' },
    scale: values && EMBER,
    reference: null,
    ...(named(props) as object),
  };
  const header: Header = { dtype: 'float32', shape: [text.length], encoding: 'raw', layout: 'dense', exact: true };
  const json = {
    layout: { kind: 'view', id: '0' } as const,
    views: { '0': { kind: 'tokens', props: all } },
    arrays: Object.fromEntries(Object.keys(arrays).map((id) => [id, header])),
    selection: {},
  };
  const el = document.createElement('div');
  document.body.append(el);
  const figure = await mountFigure(el, json, backend, signal);
  return { figure, root: el.querySelector('.mechviz')!.shadowRoot!, written };
}
