/**
 * The bundle of figures that hold a user's component: everything of ours, all of Svelte's runtime, our parts. Python
 * puts the user's linked modules behind it in the same script (mechviz/page.py), or sends them to it (mechviz/widget.py).
 */
import widget, { openPage } from './index';
import { components } from './mount';
import { framesOf } from './user/errors';
import type { Code, ModuleRecord } from './user/modules';
import UserView from './user/UserView.svelte';

components.svelte = UserView;

export { widget };

/**
 * Draw a page with users' components.
 *
 * @param here An error made on the line above the modules: it knows the address of the script.
 * @param modules By key: lines below `here`, and the module.
 */
export function open(document: Document, here: Error, modules: Record<string, [number, ModuleRecord]>): Promise<void> {
  const { url, line } = framesOf(here)[0] ?? { url: '', line: 0 };
  const code: Code = {};
  for (const [key, [below, record]] of Object.entries(modules)) code[key] = { record, url, line: line + below };
  stay();
  return openPage(document, code);
}

/** A page is for looking: its policy cuts the network, and no script leads the reader away from it. */
function stay(): void {
  const { navigation } = window as { navigation?: EventTarget };
  navigation?.addEventListener('navigate', (event) => {
    const { hashChange, userInitiated, destination } = event as Event & {
      hashChange: boolean;
      userInitiated: boolean;
      destination: { sameDocument: boolean };
    };
    if (!hashChange && !userInitiated && !destination.sameDocument) event.preventDefault();
  });
}
