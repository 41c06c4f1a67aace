/** Light or dark, measured from the ground that the view stands on: right in custom themes and in every host. */
import { luminance, parseColor } from './color';

export type Theme = 'light' | 'dark';

/** The theme of the nearest ancestor with a ground of its own; the operating system's wish where there is none. */
export function themeOf(element: Element): Theme {
  for (let node: Node | null = element.parentNode; node; node = node.parentNode) {
    if (node instanceof ShadowRoot) node = node.host;
    if (!(node instanceof Element)) continue;
    const ground = parseColor(getComputedStyle(node).backgroundColor);
    if (ground) return luminance(ground) < 0.18 ? 'dark' : 'light';
  }
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}

/** Call `changed` now and whenever the host's theme may have changed. */
export function watchTheme(element: Element, changed: (theme: Theme) => void, signal: AbortSignal): void {
  let last: Theme | undefined;
  const measure = () => {
    const theme = themeOf(element);
    if (theme !== last) changed((last = theme));
  };
  measure();
  const observer = new MutationObserver(() => requestAnimationFrame(measure));
  const options = { attributes: true, attributeFilter: ['class', 'style', 'data-theme', 'data-jp-theme-light'] };
  observer.observe(document.documentElement, options);
  observer.observe(document.body, options);
  // A page of ours is printed on white, whatever ground it has on the screen.
  for (const query of ['(prefers-color-scheme: dark)', 'print'])
    matchMedia(query).addEventListener('change', measure, { signal });
  signal.addEventListener('abort', () => observer.disconnect());
}
