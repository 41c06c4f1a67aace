/** What a chart says about its numbers: a summary for those who hear it, and at the foot what is not drawn. */
import { general } from '../number';
import type { Numbers } from '../wire';
import { say } from '../words';
import { extentOf } from './chartaxis';
import type { ChartModel } from './chartmodel.svelte';
import { CROWD } from './chartpaint';

/** "48 heads · previous-token score 0.01 … 0.97 · induction score 0 … 0.93". */
export function summaryOf(model: ChartModel, noun: string, count: number): string {
  const { data } = model;
  const reach = (label: string, values: Numbers) => {
    const extent = extentOf(values);
    if (!extent) return say('chart.none', { axis: label });
    return `${label} ${[...new Set(extent.map(general))].join(' … ')}`;
  };
  const parts = [`${general(count)} ${noun}${count === 1 ? '' : 's'}`];
  if (!model.bars) parts.push(reach(data.axes.x.label, data.x));
  parts.push(reach(data.axes.y.label, data.y));
  return parts.join(' · ');
}

/** What is not drawn and why; how very many points are. */
export function notesOf(model: ChartModel, seen: number, lost: Lost): string {
  const { data, logs } = model;
  const parts: string[] = [];
  const word = data.kind === 'points' ? 'chart.left' : data.kind === 'lines' ? 'chart.gaps' : 'chart.noBar';
  if (lost.missing) parts.push(say(word, { n: general(lost.missing) }));
  if (lost.low) parts.push(say('chart.noLog', { n: general(lost.low), axis: logs.x ? (logs.y ? 'x, y' : 'x') : 'y' }));
  if (data.kind === 'points' && seen > CROWD && !data.shade) parts.push(say('chart.dense'));
  if (data.kind === 'points' && !model.isZoomed && (data.axes.x.limits || data.axes.y.limits)) {
    const outside = model.count - seen - lost.missing - lost.low;
    if (outside > 0) parts.push(say('chart.outside', { n: general(outside) }));
  }
  return parts.join(' · ');
}

export interface Lost {
  missing: number;
  low: number;
}

/** How many numbers are not finite, and how many others a logarithmic axis has no place for. */
export function lostOf({ data, logs }: ChartModel): Lost {
  const lost = { missing: 0, low: 0 };
  const n = data.x.length || 1;
  const along = data.kind === 'lines' ? n : data.y.length;
  for (let i = 0; i < data.y.length; i++) {
    const [x, y] = [data.x[along === data.y.length ? i : i % along], data.y[i]];
    if (!Number.isFinite(x) || !Number.isFinite(y)) lost.missing++;
    else if ((logs.x && x <= 0) || (logs.y && y <= 0)) lost.low++;
  }
  return lost;
}
