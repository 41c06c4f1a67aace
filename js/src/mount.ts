/** One way to put a figure on a page, for the live widget and for standalone files alike. */
import { mount, unmount, type Component } from 'svelte';
import type { Backend } from './backend';
import { share } from './bus';
import controls from './controls.css?raw';
import { PAPER_STYLE, setPaper } from './export/paper';
import { svgPicture, type PictureOptions } from './export/picture';
import { Figure, type FigureJson } from './figure.svelte';
import FigureView from './FigureView.svelte';
import { FULL_SCREEN } from './fullscreen';
import { keepPlainKeys } from './shortcuts';
import { applyStyle } from './style';
import { watchTheme, type Theme } from './theme';
import tokens from './tokens.css?inline';
import type { ViewProps } from './views/types';
import { say } from './words';

type Modules = Record<string, { default: Component<ViewProps> }>;

/** Component by kind; the stem of its file is the name of the display function. */
export const components: Record<string, Component<ViewProps>> = {};

export function register(modules: Modules): void {
  for (const [path, module] of Object.entries(modules)) {
    components[path.slice(path.lastIndexOf('/') + 1, -'.svelte'.length)] = module.default;
  }
}

// Those of every figure; the larger ones beside them are of the lab bundle (lab.ts).
register(import.meta.glob<Modules[string]>('./views/*.svelte', { eager: true }));

/**
 * Draw a figure into `el` and keep it until `signal` aborts. The returned figure takes updates. Everything lives in a
 * shadow root of a child element: hosts may render again into the same `el`.
 */
export async function mountFigure(
  el: HTMLElement,
  json: FigureJson,
  backend: Backend,
  signal: AbortSignal,
): Promise<Figure> {
  const host = document.createElement('div');
  host.className = 'mechviz';
  // The frozen twin beside a live view hides while this marker stands in the document (mechviz/notebook.py).
  host.dataset.mechvizLive = String(backend.live);
  el.append(host);
  const root = host.attachShadow({ mode: 'open' });
  root.append(
    Object.assign(document.createElement('style'), { textContent: tokens + controls + FULL_SCREEN + PAPER_STYLE }),
  );
  const target = document.createElement('div');
  root.append(target);
  signal.addEventListener('abort', () => host.remove());
  keepPlainKeys(host, signal);

  const figure = new Figure(backend, host);
  figure.style = json.style ?? {};
  applyStyle(host, figure.style);
  figure.receive(json.selection);
  if (json.selection_id) share(figure, json.selection_id, signal);
  if (json.paper) setPaper(figure, json.paper);
  // A figure that is long on its way says so; one that comes at once does not flicker.
  const late = setTimeout(() => (target.textContent = say('state.loading')), 400);
  try {
    await figure.update(json);
  } catch (error) {
    // Nothing half drawn: without its first arrays a figure is a message.
    target.textContent = say('state.undrawn', { message: error instanceof Error ? error.message : String(error) });
    throw error;
  } finally {
    clearTimeout(late);
  }
  target.textContent = '';
  figure.width = await placed(host, signal);
  if (signal.aborted) return figure;
  const setTheme = (theme: Theme) => {
    figure.theme = theme;
    host.dataset.theme = figure.theme;
  };
  if (figure.style.theme) setTheme(figure.style.theme);
  else watchTheme(host, setTheme, signal);
  if (backend.live) leaveUnseen(host, signal);
  const app = mount(FigureView, { target, props: { figure, components } });
  signal.addEventListener('abort', () => void unmount(app));
  // For Python, which draws pages in a headless browser (mechviz/export.py).
  Object.assign(host, { mechvizSvg: (options: PictureOptions) => svgPicture(figure, options) });
  host.dataset.mechvizDrawn = 'true';
  return figure;
}

/**
 * Drawn, but neither laid out nor painted before it comes near the screen: of fifty pictures that a notebook shows at
 * once a handful is seen. Once seen it is as any other element; the containment would clip what stands out of it.
 */
function leaveUnseen(host: HTMLElement, signal: AbortSignal): void {
  const { top, bottom } = host.getBoundingClientRect();
  if (top < innerHeight && bottom >= 0) return; // in sight, and read at once
  host.style.contentVisibility = 'auto';
  host.style.containIntrinsicHeight = 'auto 480px';
  const seen = (event: Event) => {
    if ((event as ContentVisibilityAutoStateChangeEvent).skipped) return;
    host.style.contentVisibility = '';
    host.removeEventListener('contentvisibilityautostatechange', seen);
  };
  host.addEventListener('contentvisibilityautostatechange', seen, { signal });
}

/** Some hosts attach an element after it is rendered; what is measured, its theme and its width, is there only then. */
function placed(host: HTMLElement, signal: AbortSignal): Promise<number> {
  return new Promise((resolve) => {
    // Asked before it is waited for: below the screen an observer says nothing, and the picture is drawn all the same.
    if (host.clientWidth) return resolve(host.clientWidth);
    const observer = new ResizeObserver(() => host.clientWidth && done());
    const done = () => {
      observer.disconnect();
      resolve(host.clientWidth);
    };
    observer.observe(host);
    signal.addEventListener('abort', done);
  });
}
