/** Files that a reader saves from the page, without a server and without the network. */
import type { Field } from './csv';
import type { PictureRecord } from './picture';

/** A table of what a view shows: what it is called in a menu and in its file's name; no rows while they are on their way. */
export interface Table {
  word: string;
  name: string;
  rows(): Iterable<Field[]> | undefined | Promise<Iterable<Field[]> | undefined>;
}

/** Hand a file to the reader. */
export function download(name: string, data: Blob): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(data);
  link.download = name;
  link.click();
  // The browser reads it when the reader has said where it goes.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** "Attention L1H0" -> "attention-l1h0.png" */
export function nameOf(title: string, ending: string): string {
  const words = title.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? ['figure'];
  return `${words.join('-').slice(0, 60)}.${ending}`;
}

/** An SVG as PNG, `scale` pixels to each of its own; `perInch` is its size on paper. */
export async function pngOf(svg: string, scale: number, record: PictureRecord, perInch?: number): Promise<Blob> {
  const box = /viewBox="([^"]*)"/.exec(svg)![1].split(' ').map(Number);
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [Math.round(box[2] * scale), Math.round(box[3] * scale)];
  canvas.getContext('2d')!.drawImage(image, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, 'image/png'));
  if (!blob) throw new Error(`a picture of ${canvas.width} × ${canvas.height} pixels is too large for this browser`);
  const text = {
    Software: record.writer,
    Title: record.title,
    'mechviz-provenance': JSON.stringify(record.provenance),
  };
  return new Blob([withText(new Uint8Array(await blob.arrayBuffer()), text, perInch)], { type: 'image/png' });
}

/** A PNG with UTF-8 text chunks, and its size on paper, behind the header, which is always 33 bytes long. */
export function withText(png: Uint8Array, text: Record<string, string>, perInch?: number): Uint8Array<ArrayBuffer> {
  const utf8 = new TextEncoder();
  const chunks = Object.entries(text).map(([key, value]) => chunk('iTXt', utf8.encode(`${key}\0\0\0\0\0${value}`)));
  if (perInch !== undefined) {
    const size = new DataView(new ArrayBuffer(9));
    size.setUint32(0, Math.round(perInch / 0.0254));
    size.setUint32(4, Math.round(perInch / 0.0254));
    size.setUint8(8, 1);
    chunks.push(chunk('pHYs', new Uint8Array(size.buffer)));
  }
  return joined([png.subarray(0, 33), ...chunks, png.subarray(33)]);
}

function chunk(kind: string, body: Uint8Array): Uint8Array {
  const named = joined([new TextEncoder().encode(kind), body]);
  return joined([number(body.length), named, number(crc(named))]);
}

function number(value: number): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(4));
  bytes.setUint32(0, value);
  return new Uint8Array(bytes.buffer);
}

function joined(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** CRC-32 as PNG has it; bit by bit, since texts are short. */
function crc(bytes: Uint8Array): number {
  let rest = 0xffffffff;
  for (const byte of bytes) {
    rest ^= byte;
    for (let k = 0; k < 8; k++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  }
  return (rest ^ 0xffffffff) >>> 0;
}
