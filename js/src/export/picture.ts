/** Pictures of a drawn figure, or of one of its views, with where their numbers come from. */
import type { Figure } from '../figure.svelte';
import type { FrameJson } from '../views/types';
import { grown } from './boxes';
import { PAPER_MARGIN, PX_PER_MM, setPaper, type Paper } from './paper';
import { svgOf } from './svg';

/** Of plain ground on every side of a picture of the screen. */
const MARGIN = 16;

export interface PictureOptions {
  /** One view of the figure instead of all: its id. */
  view?: string;
  /** Of plain ground on every side, CSS pixels. */
  margin?: number;
}

/** What a picture, or a file of any kind, says of itself. */
export interface PictureRecord {
  title: string;
  /** "mechviz 0.1.0" */
  writer: string;
  provenance: { mechviz: string; figures: unknown[] };
}

export function recordOf(figure: Figure, view?: string): PictureRecord {
  const views = Object.values(figure.views).filter(({ id }) => view === undefined || id === view);
  const frames = views.map(({ props }) => props.frame as FrameJson | undefined);
  const version = frames.find((frame) => frame?.made)?.made?.mechviz ?? '';
  return {
    title: [...new Set(frames.map((frame) => frame?.title).filter(Boolean))].join(' · ') || 'mechviz',
    writer: `mechviz ${version}`.trim(),
    provenance: {
      mechviz: version,
      figures: views.map(({ kind }, i) => ({ view: kind, ...frames[i]?.made?.provenance })),
    },
  };
}

/** The figure as it is on the screen. */
export function svgPicture(figure: Figure, { view, margin }: PictureOptions = {}): string {
  const { paper } = figure;
  const drawn = drawnOf(figure, view);
  come(drawn);
  const box = grown(drawn.getBoundingClientRect(), margin ?? (paper ? PAPER_MARGIN : MARGIN));
  const ground = getComputedStyle(figure.host).getPropertyValue('--mv-ground');
  return svgOf(drawn, {
    box,
    ground: paper?.ground === 'transparent' ? undefined : ground,
    width_mm: paper && view === undefined ? paper.width_mm : paper && Math.round((10 * box.width) / PX_PER_MM) / 10,
    ...recordOf(figure, view),
  });
}

/** The element that a figure, or one of its views, is drawn in. */
export function drawnOf(figure: Figure, view?: string): Element {
  const all = figure.host.shadowRoot!;
  const found = all.querySelector(view === undefined ? '.figure' : `[data-view="${view}"]`);
  if (!found) throw new Error('the figure is not drawn yet');
  return found;
}

/** The figure, or one view, once it stands still; on paper for as long as that takes, out of sight. */
export async function stillSvg(figure: Figure, view?: string, paper?: Paper): Promise<string> {
  come(drawnOf(figure, view));
  if (!paper) return settled(() => svgPicture(figure, { view }));
  const restore = aside(figure, view);
  try {
    setPaper(figure, paper);
    return await settled(() => svgPicture(figure, { view }));
  } finally {
    setPaper(figure, undefined);
    restore();
  }
}

/** Far from the screen a long text is its letters alone, or has the colours of before (parts/TokenBlock.svelte). */
function come(drawn: Element): void {
  for (const block of drawn.querySelectorAll('.block.lazy')) block.dispatchEvent(new Event('mechviz-near'));
}

/** Two in a row are the same: sizes have been measured and canvases painted. */
async function settled(take: () => string): Promise<string> {
  let before = '';
  for (let tries = 0; tries < 60; tries++) {
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const now = take();
    if (now === before) return now;
    before = now;
  }
  throw new Error('the figure did not stand still');
}

/** Take the figure out of sight, with one view of it or all; the page around it stays as it is. */
function aside({ host }: Figure, view?: string): () => void {
  const room = host.parentElement!;
  const [was, roomWas] = [host.style.cssText, room.style.cssText];
  const others = [...host.shadowRoot!.querySelectorAll<HTMLElement>('[data-view]')].filter(
    (other) => view !== undefined && other.dataset.view !== view,
  );
  room.style.minHeight = `${room.getBoundingClientRect().height}px`;
  others.forEach((other) => (other.style.display = 'none'));
  Object.assign(host.style, { position: 'fixed', left: '-20000px', top: '0' });
  return () => {
    host.style.cssText = was;
    room.style.cssText = roomWas;
    others.forEach((other) => (other.style.display = ''));
  };
}
