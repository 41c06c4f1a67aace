/**
 * Browsers round where a click was down to whole pixels, but not where a pointer moves: on a display of fine pixels the cell
 * that is read and the cell that a click picks would be two. With this attachment a click says where the pointer was let go.
 */
export function exactClick(element: Element): () => void {
  let last: MouseEvent | undefined;
  const release = (event: Event) => (last = event as MouseEvent);
  const click = (event: Event) => {
    for (const name of ['clientX', 'clientY'] as const) {
      const [told, exact] = [(event as MouseEvent)[name], last?.[name] ?? NaN];
      if (Math.abs(exact - told) < 1) Object.defineProperty(event, name, { value: exact });
    }
  };
  element.addEventListener('pointerup', release, true);
  element.addEventListener('click', click, true);
  return () => {
    element.removeEventListener('pointerup', release, true);
    element.removeEventListener('click', click, true);
  };
}
