/**
 * Very many points: every one is a few pixels, written straight into the image. Where points lie upon each other the
 * colour is denser; those of several colours are written in a shuffled order, so that no group hides another.
 */
import { indexAt, type Rgb } from '../color';
import { position } from '../scale';
import type { Numbers } from '../wire';
import { colorOf, COLORS, type Palette, type Picture } from './chartlook';
import type { ChartData, ChartModel } from './chartmodel.svelte';

/** The columns in the order of drawing, and the colour of each point as an index. */
interface Columns {
  x: Numbers;
  y: Numbers;
  color?: Uint8Array;
}

/** What need not be worked out for every frame. */
interface Kept {
  x: Numbers;
  y: Numbers;
  data: ChartData;
  columns: Columns;
  palette: Palette;
  table: Uint32Array;
}

const NO_VALUE = 255;

/** A function that draws; it keeps its buffers from frame to frame. */
export function speckle(): (context: CanvasRenderingContext2D, model: ChartModel, picture: Picture) => void {
  let image: ImageData | undefined;
  let [counts, latest] = [new Uint8Array(0), new Uint8Array(0)];
  let kept: Kept | undefined;

  function keptFor({ x, y, data }: ChartModel, { palette }: Picture): Kept {
    const same = kept?.x === x && kept.y === y && kept.data === data;
    if (same && kept!.palette === palette) return kept!;
    const columns = same ? kept!.columns : shuffled(data, x, y);
    return (kept = { x, y, data, columns, palette, table: tableOf(data, palette, x.length) });
  }

  return (context, model, picture) => {
    const { width, height } = context.canvas;
    if (image?.width !== width || image.height !== height) {
      image = context.createImageData(width, height);
      [counts, latest] = [new Uint8Array(width * height), new Uint8Array(width * height)];
    }
    counts.fill(0);
    const { columns, table } = keptFor(model, picture);
    const size = Math.max(2, Math.round((model.count > 20_000 ? 1.5 : 2.25) * picture.ratio));
    const place = {
      ax: model.toX.scale * picture.ratio,
      bx: model.toX.shift * picture.ratio,
      ay: model.toY.scale * picture.ratio,
      by: model.toY.shift * picture.ratio,
      width,
      height,
    };
    const { x, y } = model; // every reading of a reactive value costs
    for (const i of picture.picked) outline(counts, latest, x[i], y[i], size + 2, place);
    stamp(counts, latest, columns, size, place);
    compose(new Uint32Array(image.data.buffer), counts, latest, table);
    context.putImageData(image, 0, 0);
  };
}

interface Place {
  ax: number;
  bx: number;
  ay: number;
  by: number;
  width: number;
  height: number;
}

/** The index of an outline among the colours: black or white, whole. */
const OUTLINE = 254;

function stamp(counts: Uint8Array, latest: Uint8Array, { x, y, color }: Columns, size: number, p: Place): void {
  const { ax, bx, ay, by, width, height } = p;
  const half = (size - 1) / 2;
  const [right, bottom] = [width - size, height - size];
  for (let i = 0; i < x.length; i++) {
    const px = ax * x[i] + bx;
    const py = ay * y[i] + by;
    // What is no number fails this, too.
    if (!(px >= 0 && px <= width && py >= 0 && py <= height)) continue;
    const left = Math.max(0, Math.min(right, (px - half) | 0));
    const own = color ? color[i] : 0;
    let at = Math.max(0, Math.min(bottom, (py - half) | 0)) * width + left;
    for (let row = 0; row < size; row++, at += width) {
      for (let k = at; k < at + size; k++) {
        const count = latest[k] === OUTLINE ? 0 : counts[k];
        counts[k] = count < 255 ? count + 1 : 255;
        latest[k] = own;
      }
    }
  }
}

function outline(counts: Uint8Array, latest: Uint8Array, x: number, y: number, size: number, p: Place): void {
  const left = Math.round(p.ax * x + p.bx - size / 2);
  const top = Math.round(p.ay * y + p.by - size / 2);
  if (!(left >= 0 && left + size <= p.width && top >= 0 && top + size <= p.height)) return;
  for (let row = 0, at = top * p.width + left; row < size; row++, at += p.width) {
    for (let k = at; k < at + size; k++) {
      counts[k] = 255;
      latest[k] = OUTLINE;
    }
  }
}

/** Counts and colours to pixels. */
function compose(pixels: Uint32Array, counts: Uint8Array, latest: Uint8Array, table: Uint32Array): void {
  pixels.fill(0);
  const fours = new Uint32Array(counts.buffer, 0, counts.length >> 2);
  for (let q = 0; q < fours.length; q++) {
    if (fours[q] === 0) continue; // most of the ground
    for (let k = q << 2; k < (q << 2) + 4; k++) if (counts[k]) pixels[k] = table[(latest[k] << 8) | counts[k]];
  }
  for (let k = fours.length << 2; k < counts.length; k++) {
    if (counts[k]) pixels[k] = table[(latest[k] << 8) | counts[k]];
  }
}

/** Packed colour by index and count. The colours of a value scale are never mixed with the ground. */
function tableOf(data: ChartData, palette: Palette, n: number): Uint32Array {
  const table = new Uint32Array(256 * 256);
  const alpha = data.shade ? 1 : n > 20_000 ? 0.42 : 0.65;
  const rows: [number, Rgb, number][] = [[OUTLINE, palette.foreground, 1]];
  if (data.shade) {
    for (let c = 0; c < OUTLINE; c++) rows.push([c, palette.shade!.rgb[Math.round((c / (OUTLINE - 1)) * 255)], 1]);
    rows.push([NO_VALUE, palette.grey, 1]);
  } else for (let c = 0; c <= COLORS; c++) rows.push([c, colorOf(palette, c), alpha]);
  for (const [index, [r, g, b], share] of rows) {
    for (let count = 1; count < 256; count++) {
      const opaque = Math.round(255 * (1 - (1 - share) ** count));
      table[(index << 8) | count] = ((opaque << 24) | (b << 16) | (g << 8) | r) >>> 0;
    }
  }
  return table;
}

function shuffled(data: ChartData, x: Numbers, y: Numbers): Columns {
  if (!data.group && !data.shade) return { x, y };
  const order = Uint32Array.from(x.keys());
  let seed = 1;
  for (let i = order.length - 1; i > 0; i--) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; // the same picture every time
    const j = Math.floor((seed / 2 ** 32) * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  const pick = (values: Numbers) => {
    const out = new Float64Array(order.length);
    for (let k = 0; k < order.length; k++) out[k] = values[order[k]];
    return out;
  };
  const color = new Uint8Array(order.length);
  for (let k = 0; k < order.length; k++) {
    const i = order[k];
    if (!data.shade) color[k] = Math.min(COLORS, data.group![i]);
    else {
      const value = data.shade.values[i];
      const t = indexAt(position(data.shade.scale, value)) / 255;
      color[k] = Number.isNaN(value) ? NO_VALUE : Math.round(t * (OUTLINE - 1));
    }
  }
  return { x: pick(x), y: pick(y), color };
}
