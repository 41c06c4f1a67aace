/** The bundle's two doors: `render` for anywidget, `openPage` for a standalone file. */
import type { AnyModel } from '@anywidget/types';
import { addressOf } from './address';
import type { FigureJson } from './figure.svelte';
import { KernelBackend, type WidgetState } from './kernel';
import { mountFigure } from './mount';
import { figureIn, PageBackend } from './page';
import { say } from './words';

/** One call a widget, which may be shown several times; the module itself is one for all (mechviz/bundle.py). */
export default () => {
  let backend: KernelBackend;
  return {
    initialize({ model }: { model: AnyModel<WidgetState> }) {
      backend = new KernelBackend(model);
    },
    async render({ model, el, signal }: { model: AnyModel<WidgetState>; el: HTMLElement; signal?: AbortSignal }) {
      const lifetime = new AbortController();
      signal?.addEventListener('abort', () => lifetime.abort());
      const json = model.get('figure');
      // Figures with users' components only (mechviz/_svelte/widget.py); it is always sent before the figure that needs it.
      const code = () => model.get('code');
      const first = { ...json, code: code(), selection: model.get('selection') };
      const figure = await mountFigure(el, first, backend, lifetime.signal);
      if (lifetime.signal.aborted) return;
      const onSelection = () => figure.receive(model.get('selection'));
      const onFigure = () => {
        const next = { ...model.get('figure'), code: code() };
        figure.update(next).then(
          () => (figure.problem = undefined),
          (error) => (figure.problem = say('state.update', { message: error.message ?? String(error) })),
        );
      };
      model.on('change:selection', onSelection);
      model.on('change:figure', onFigure);
      // What came while the first arrays were on their way.
      onSelection();
      if (model.get('figure') !== json) onFigure();
      return () => {
        model.off('change:selection', onSelection);
        model.off('change:figure', onFigure);
        lifetime.abort();
      };
    },
  };
};

/**
 * Draw every figure of a standalone page; its host elements carry `data-mechviz-figure`, its JSON lies beside them.
 * `code` is what users' components are made of.
 */
export async function openPage(document: Document, code?: FigureJson['code']): Promise<void> {
  const hosts = [...document.querySelectorAll<HTMLElement>('[data-mechviz-figure]')];
  const picked = new Map<string, string>();
  await Promise.allSettled(hosts.map((host) => openFigure(document, host, picked, code)));
  // Until now a frame in a notebook was transparent: a still picture lies under it.
  document.documentElement.classList.add('drawn');
}

async function openFigure(
  document: Document,
  host: HTMLElement,
  picked: Map<string, string>,
  code?: FigureJson['code'],
): Promise<void> {
  const figure = { ...(await figureIn(host.querySelector('script[type="application/json"]'))), code };
  const address = addressOf(document, host, figure, picked);
  const backend = new PageBackend(document, figure, (selection) => address?.write(selection));
  const first = { ...figure, ...address?.read(figure) };
  const drawn = await mountFigure(host, first, backend, new AbortController().signal);
  address?.follow(drawn);
}

// A page says that it is one; in a notebook nothing happens on import.
if (document.documentElement.dataset.mechviz === 'page') void openPage(document);
