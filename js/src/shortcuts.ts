/**
 * Keys that are meant for a view, kept from the notebook around it. JupyterLab listens on the document before any view
 * does, and in command mode plain keys are commands (`d d` deletes the cell). It passes over elements that carry this
 * attribute; chords such as Ctrl+S stay the notebook's.
 */
export function keepPlainKeys(host: HTMLElement, signal: AbortSignal): void {
  const mark = (event: KeyboardEvent) => {
    if (!event.composedPath().includes(host)) return;
    host.toggleAttribute('data-lm-suppress-shortcuts', !(event.ctrlKey || event.metaKey || event.altKey));
  };
  window.addEventListener('keydown', mark, { capture: true, signal });
}
