/** The bundle's two doors: `render` for anywidget, `openPage` for a standalone file. */
import type { AnyModel } from '@anywidget/types';
import type { FigureJson } from './figure.svelte';
import { KernelBackend, type WidgetState } from './kernel';
import { mountFigure } from './mount';
import { PageBackend } from './page';

/** One call a widget: anywidget imports the module once per instance, and an instance may be shown several times. */
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
      const figure = await mountFigure(el, { ...json, selection: model.get('selection') }, backend, lifetime.signal);
      const onSelection = () => figure.receive(model.get('selection'));
      const onFigure = () => {
        figure.update(model.get('figure')).catch((error) => console.error('mechviz could not show an update:', error));
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

/** Draw every figure of a standalone page; its host elements carry `data-mechviz-figure`, its JSON lies beside them. */
export async function openPage(document: Document): Promise<void> {
  const hosts = [...document.querySelectorAll<HTMLElement>('[data-mechviz-figure]')];
  await Promise.allSettled(hosts.map((host) => openFigure(document, host)));
  // Until now a frame in a notebook was transparent: a still picture lies under it.
  document.documentElement.classList.add('drawn');
}

async function openFigure(document: Document, host: HTMLElement): Promise<void> {
  const json = host.querySelector('script[type="application/json"]')?.textContent ?? '{}';
  const figure = JSON.parse(json) as FigureJson;
  await mountFigure(host, figure, new PageBackend(document, figure), new AbortController().signal);
}

// A page says that it is one; in a notebook nothing happens on import.
if (document.documentElement.dataset.mechviz === 'page') void openPage(document);
