/** A figure's caption: what is shown and where its numbers come from, to be copied into a paper. */
import type { FrameJson } from '../views/types';
import { say } from '../words';

/** "L1H0. gpt2 · 17 tokens, BOS · float32; edited: L1H0 → zero; mechviz 0.1.0." */
export function captionOf(frame: FrameJson, site = frame.site): string {
  const precision = frame.made?.provenance.precision;
  const parts = [
    frame.provenance.join(' · '),
    ...frame.edits.map((edit) => say('frame.edited', { edit })),
    precision ? say('paper.precision', { precision: String(precision) }) : '',
    frame.made ? `mechviz ${frame.made.mechviz}` : '',
  ];
  return `${site ? `${site}. ` : ''}${parts.filter(Boolean).join('; ')}.`;
}
