/** A group of buttons as one stop of the Tab key: arrow keys go from one to the next (WAI-ARIA's toolbar pattern). */
export function oneStop(group: HTMLElement): () => void {
  const buttons = () => [...group.querySelectorAll('button')];
  function stopAt(button?: HTMLButtonElement) {
    const all = buttons();
    const one = button ?? all.find((b) => b.ariaPressed === 'true') ?? all[0];
    // Setting it lays out the page: only where it changes.
    for (const b of all) if (b.tabIndex !== (b === one ? 0 : -1)) b.tabIndex = b === one ? 0 : -1;
  }
  function onkeydown(event: KeyboardEvent) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const all = buttons();
    const at = all.indexOf((event.target as Element).closest('button')!);
    const next = all[(at + step + all.length) % all.length];
    stopAt(next);
    next.focus();
    event.preventDefault();
    event.stopPropagation();
  }
  stopAt();
  const observer = new MutationObserver(() => stopAt());
  observer.observe(group, { childList: true, subtree: true, attributeFilter: ['aria-pressed'] });
  group.addEventListener('keydown', onkeydown);
  return () => {
    observer.disconnect();
    group.removeEventListener('keydown', onkeydown);
  };
}
