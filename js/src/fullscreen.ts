/** A figure that fills the screen. Where the host forbids it (a frame without the permission), it fills the window. */
export async function toggleFullScreen(host: HTMLElement): Promise<void> {
  if (document.fullscreenElement === host) return document.exitFullscreen();
  if (host.hasAttribute('data-full')) return void host.removeAttribute('data-full');
  try {
    await host.requestFullscreen();
  } catch {
    host.setAttribute('data-full', '');
  }
}

/** Leave the window that `toggleFullScreen` has filled; whether there was anything to leave. The browser leaves its own. */
export function leaveFullWindow(host: HTMLElement): boolean {
  const full = host.hasAttribute('data-full');
  host.removeAttribute('data-full');
  return full;
}

/** Of the shadow host: both ways look the same. */
export const FULL_SCREEN = `
:host(:fullscreen), :host([data-full]) {
  box-sizing: border-box;
  overflow: auto;
  padding: 24px;
  background: var(--mv-ground);
}
:host([data-full]) {
  position: fixed;
  inset: 0;
  z-index: 2147483647;
}`;
