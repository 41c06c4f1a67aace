/** The button that a key goes to from another one. */
type Next = (key: string, from: HTMLButtonElement, all: HTMLButtonElement[]) => HTMLButtonElement | undefined;

/** One after the other by two keys, round at the ends. */
const inLine =
  (back: string, on: string): Next =>
  (key, from, all) => {
    const step = key === on ? 1 : key === back ? -1 : 0;
    return step ? all[(all.indexOf(from) + step + all.length) % all.length] : undefined;
  };

/** A group of buttons as one stop of the Tab key: arrow keys go from one to the next (WAI-ARIA's toolbar pattern). */
export const oneStop = oneStopBy(inLine('ArrowLeft', 'ArrowRight'));
/** The same of buttons below each other. */
export const oneStopDown = oneStopBy(inLine('ArrowUp', 'ArrowDown'));

/** The same with a rule for where keys go. */
export function oneStopBy(next: Next): (group: HTMLElement) => () => void {
  return (group) => {
    const buttons = () => [...group.querySelectorAll('button')].filter((button) => !button.disabled);
    function stopAt(button?: HTMLButtonElement) {
      const all = buttons();
      const one = button ?? all.find((b) => b.ariaPressed === 'true') ?? all[0];
      // Setting it lays out the page: only where it changes.
      for (const b of all) if (b.tabIndex !== (b === one ? 0 : -1)) b.tabIndex = b === one ? 0 : -1;
    }
    function onkeydown(event: KeyboardEvent) {
      const from = (event.target as Element).closest('button');
      const to = from && next(event.key, from, buttons());
      if (!to) return;
      stopAt(to);
      to.focus();
      event.preventDefault();
      event.stopPropagation();
    }
    stopAt();
    const observer = new MutationObserver(() => stopAt());
    observer.observe(group, { childList: true, subtree: true, attributeFilter: ['aria-pressed', 'disabled'] });
    group.addEventListener('keydown', onkeydown);
    return () => {
      observer.disconnect();
      group.removeEventListener('keydown', onkeydown);
    };
  };
}
