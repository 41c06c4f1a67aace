/** An attention view for tests, mounted as a page or a widget does it; props are what mechviz/views/attention.py sends. */
import { vi } from 'vitest';
import type { Answer, Backend } from '../src/backend';
import type { Figure } from '../src/figure.svelte';
import '../src/labviews';
import { mountFigure } from '../src/mount';
import type { Selection } from '../src/selection';
import type { Header, NdArray, Precision } from '../src/wire';

export interface Shown {
  /** Row by row, one list a head. */
  heads: number[][];
  words: string[];
  keyWords?: string[];
  causal?: boolean;
  precision?: Precision;
  scale?: { ramp: string; limits: [number, number] };
  /** Positions before the answer. */
  prompt?: number;
  /** What a kernel answers; without it there is none. */
  ask?(name: string, args: Record<string, unknown>): Answer | Promise<Answer>;
  more?: Record<string, unknown>;
}

export interface Mounted {
  figure: Figure;
  root: ShadowRoot;
  /** What Python was told. */
  written: Selection[];
  asked: string[];
}

const tokensJson = (words: string[], prompt?: number) => ({
  text: words,
  label: words.map((w) => w.replace(/^ /, '·')),
  group: words.map((_, i) => i),
  special: words.map((w) => w === '<s>'),
  role: words.map((w) => (w === '<s>' ? 'BOS' : null)),
  ids: null,
  piece: words.map(() => ''),
  prompt: prompt ?? null,
});

export async function mountAttention(shown: Shown, signal: AbortSignal): Promise<Mounted> {
  const { heads, words, keyWords, causal = true, precision = 'exact', ask } = shown;
  const [queries, keys] = [words.length, (keyWords ?? words).length];
  const arrays: Record<string, NdArray> = {
    thumbs: { data: Float32Array.from(heads.flat()), shape: [heads.length, queries, keys], precision: 'sqrt8' },
    peaks: { data: Float64Array.from(heads, () => 1), shape: [heads.length], precision: 'exact' },
  };
  heads.forEach(
    (values, i) => (arrays[`h${i}`] = { data: Float64Array.from(values), shape: [queries, keys], precision }),
  );
  const named = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(named);
    if (typeof value !== 'object' || value === null) return value;
    if (!('data' in value)) return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, named(v)]));
    const id = `array ${Object.keys(arrays).length}`;
    arrays[id] = value as NdArray;
    return { $array: id };
  };
  const more = named(shown.more ?? {}) as Record<string, unknown>;
  const written: Selection[] = [];
  const asked: string[] = [];
  const backend: Backend = {
    live: ask !== undefined,
    load: async (id) => arrays[id],
    ask: async (_view, name, args) => {
      asked.push(name);
      return ask!(name, args as Record<string, unknown>);
    },
    writeSelection: (selection) => written.push(selection),
  };
  const header: Header = { dtype: 'float32', shape: [], encoding: 'raw', layout: 'dense', exact: true };
  const json = {
    layout: { kind: 'view', id: '0' } as const,
    views: {
      '0': {
        kind: 'attention',
        props: {
          frame: { title: 'Attention', provenance: ['toy', `${queries} tokens`], edits: [] },
          tokens: tokensJson(words, shown.prompt),
          key_tokens: keyWords ? tokensJson(keyWords) : null,
          heads: heads.map((_, i) => ({
            ...{ row: 0, layer: 0, column: i, head: i, name: `L0H${i}`, values: { $array: `h${i}` } },
            ...{ nan: 0, above: 0, below: 0 },
          })),
          ...{ rows: ['L0'], columns: heads.map((_, i) => `H${i}`), reasons: null },
          ...{ thumbs: heads.length > 1 ? { $array: 'thumbs' } : null, thumb_step: 1, peaks: { $array: 'peaks' } },
          ...{ scores: null, roles: null, causal, probabilities: true, quantity: 'attention probability' },
          ...{ scale: shown.scale ?? { ramp: 'ink', limits: [0, 1] }, row_total: null, open: 0 },
          ...more,
        },
      },
    },
    arrays: Object.fromEntries(Object.keys(arrays).map((id) => [id, header])),
    selection: {},
  };
  const el = document.createElement('div');
  document.body.append(el);
  const figure = await mountFigure(el, json, backend, signal);
  const root = el.querySelector('.mechviz')!.shadowRoot!;
  await vi.waitFor(() => {
    if (!root.querySelector('.map, .lines')) throw new Error('not drawn yet');
  });
  return { figure, root, written, asked };
}

/** Rows of probabilities under a causal mask: each query prefers one key. */
export function causalRows(n: number, prefer: (query: number) => number, share = 0.7): number[] {
  return Array.from({ length: n * n }, (_, at) => {
    const [query, key] = [Math.floor(at / n), at % n];
    if (key > query) return 0;
    if (query === 0) return 1;
    return key === prefer(query) ? share : (1 - share) / query;
  });
}
