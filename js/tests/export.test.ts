/** Files of what is drawn: the walker on small pages of its own, PNG chunks, pages and data. */
import { afterEach, expect, test } from 'vitest';
import { page } from 'vitest/browser';
import { nameOf, withText } from '../src/export/files';
import { figureFile, pageFile } from '../src/export/pagefile';
import { figureIn } from '../src/page';
import { gradient, Paints, split } from '../src/export/paints';
import { PAPER_MARGIN, PX_PER_MM, setPaper } from '../src/export/paper';
import type { Repaintable } from '../src/export/recorder';
import { svgOf } from '../src/export/svg';
import { brief, numbersIn } from '../src/parts/heatmap';
import { emptySelection } from '../src/selection';
import type { Header } from '../src/wire';

afterEach(() => document.body.replaceChildren());

const ABOUT = { title: 'T', writer: 'mechviz 1', provenance: { text: '<&>' } };

/** A box of 200 pixels with this in it, as SVG. */
function drawn(html: string, prepare: (box: HTMLElement) => void = () => {}): SVGSVGElement {
  const box = document.createElement('div');
  box.style.cssText =
    'position:relative;width:200px;min-height:100px;font:12px/16px "DejaVu Sans Mono",monospace;color:#102030';
  box.innerHTML = html;
  document.body.append(box);
  prepare(box);
  const made = new DOMParser().parseFromString(svgOf(box, ABOUT), 'image/svg+xml');
  expect(made.querySelector('parsererror')).toBeNull();
  return made.documentElement as unknown as SVGSVGElement;
}

const texts = (svg: Element) => [...svg.querySelectorAll('text')].map((text) => text.textContent);
const numbers = (element: Element | null, ...names: string[]) =>
  names.map((name) => Number(element!.getAttribute(name)));

test('lines of a text are told apart, and spaces that nobody sees are left out', async () => {
  await page.viewport(900, 700);
  const svg = drawn('<p style="margin:0">one two <b>three</b>\n   four five six seven eight nine</p>');
  // 200 px hold 27 characters of 7.22 px.
  expect(texts(svg)).toEqual(['one two', 'three', 'four five six', 'seven eight nine']);
  const [one, three, four, seven] = [...svg.querySelectorAll('text')];
  expect(three.getAttribute('font-weight')).toBe('700');
  expect(numbers(one, 'x')).toEqual([0]);
  expect(one.getAttribute('y')).toBe(four.getAttribute('y'));
  expect(Number(seven.getAttribute('y')) - Number(one.getAttribute('y'))).toBe(16);
  expect(one.getAttribute('fill')).toBe('#102030');
  expect(numbers(one, 'textLength')[0]).toBeCloseTo(7 * 7.22, 0);
});

test('spaces inside of text that keeps them are kept', () => {
  expect(texts(drawn('<pre style="margin:0">a  b\nc</pre>'))).toEqual(['a  b', 'c']);
});

test('what is not seen is not drawn', () => {
  const hidden = ['display:none', 'visibility:hidden', 'opacity:0', 'position:absolute;clip-path:inset(50%)'];
  const html = hidden.map((style) => `<span style="${style}">no</span>`).join('');
  expect(texts(drawn(`${html}<span data-unseen>no</span><b>yes</b>`))).toEqual(['yes']);
});

test('text that is cut on the screen is cut, and what a box does not show is clipped', () => {
  const cut = 'width:80px;overflow:hidden;white-space:nowrap;text-overflow:ellipsis';
  const [text] = texts(drawn(`<div style="${cut}">a long line of words</div>`));
  // 80 px hold 11 characters, the last of which is the ellipsis.
  expect(text).toBe('a long lin…');
  const clipped = drawn('<div style="height:20px;overflow:hidden"><div>in</div><div>half</div><div>out</div></div>');
  expect(texts(clipped)).toEqual(['in', 'half']);
  const id = clipped.querySelector('clipPath')!.id;
  expect(clipped.querySelector('g[clip-path]')!.getAttribute('clip-path')).toBe(`url(#${id})`);
});

test('characters that XML cannot hold become visible, markup stays text', () => {
  const svg = drawn('', (box) => box.append('<b>&"\u0001\ud800\u{1f600}'));
  expect(texts(svg)).toEqual(['<b>&"\ufffd\ufffd\u{1f600}']);
  expect(JSON.parse(svg.querySelector('provenance')!.textContent!)).toEqual({ text: '<&>' });
});

test('grounds, rings, outlines and borders', () => {
  const style =
    'position:absolute;left:20px;top:10px;width:30px;height:20px;border-radius:2px;background:rgb(255 0 0/.5)';
  const svg = drawn(
    `<div style="${style};box-shadow:0 0 0 3px #00f;outline:2px solid #0f0;outline-offset:1px;border-bottom:1px solid"></div>`,
  );
  const rect = svg.querySelector('rect')!;
  expect(numbers(rect, 'x', 'y', 'width', 'height', 'rx')).toEqual([20, 10, 30, 21, 2]);
  expect([rect.getAttribute('fill'), Number(rect.getAttribute('fill-opacity'))]).toEqual(['#ff0000', 0.5]);
  const [ring, border, outline] = [...svg.querySelectorAll('path')];
  expect([ring.getAttribute('fill'), ring.getAttribute('fill-rule')]).toEqual(['#0000ff', 'evenodd']);
  expect(ring.getAttribute('d')).toContain('M22 7H48'); // 3 px further out, with corners of 5
  expect(border.getAttribute('d')).toBe('M20 30.5H50');
  expect([outline.getAttribute('stroke'), outline.getAttribute('stroke-width')]).toEqual(['#00ff00', '2']);
});

test('a dashed outline is dashed, and marks of a style sheet are drawn before and after what they stand in', () => {
  const style = 'position:absolute;left:20px;top:10px;width:30px;height:20px';
  const mark = (color: string, top: number) =>
    `content:"";position:absolute;left:0;top:${top}px;width:30px;height:2px;background:${color}`;
  const svg = drawn(
    `<style>.m::before{${mark('#000001', 0)}}.m::after{${mark('#000003', 22)}}</style>
     <div class="m" style="${style};outline:1px dashed #0f0"><i style="background:#000002">x</i></div>`,
  );
  expect([...svg.querySelectorAll('rect')].map((rect) => rect.getAttribute('fill'))).toEqual([
    '#000001',
    '#000002',
    '#000003',
  ]);
  expect(numbers([...svg.querySelectorAll('rect')][2], 'x', 'y', 'width', 'height')).toEqual([20, 32, 30, 2]);
  expect(svg.querySelector('path')!.getAttribute('stroke-dasharray')).toBe('3');
});

test('what stands in front is drawn last', () => {
  const at = (z: string, color: string) => `<i style="position:relative;z-index:${z};background:${color}">x</i>`;
  const svg = drawn(`${at('2', '#000001')}${at('auto', '#000002')}${at('1', '#000003')}`);
  expect([...svg.querySelectorAll('rect')].map((rect) => rect.getAttribute('fill'))).toEqual([
    '#000002',
    '#000003',
    '#000001',
  ]);
});

test('hatches and ramps are gradients', () => {
  const paints = new Paints();
  const box = new DOMRect(0, 0, 100, 50);
  const parse = (css: string) =>
    new DOMParser().parseFromString(gradient(css, 'g', box, paints) ?? '<none/>', 'image/svg+xml').documentElement;
  const ramp = parse('linear-gradient(to right, rgb(0, 0, 0), rgb(255, 0, 0) 12.5%, white)');
  expect(numbers(ramp, 'x1', 'y1', 'x2', 'y2')).toEqual([0, 25, 100, 25]);
  expect([...ramp.children].map((stop) => [stop.getAttribute('offset'), stop.getAttribute('stop-color')])).toEqual([
    ['0', '#000000'],
    ['0.125', '#ff0000'],
    ['1', '#ffffff'],
  ]);
  const hatch = parse('repeating-linear-gradient(45deg, red 0px, red 1.5px, transparent 1.5px, transparent 5px)');
  expect(hatch.getAttribute('spreadMethod')).toBe('repeat');
  const [x1, y1, x2, y2] = numbers(hatch, 'x1', 'y1', 'x2', 'y2');
  expect(Math.hypot(x2 - x1, y2 - y1)).toBeCloseTo(5, 1); // the length of one period
  expect(parse('conic-gradient(red, blue)').tagName).toBe('none');
  expect(split('a(1, 2), b')).toEqual(['a(1, 2)', 'b']);
});

/** A canvas with a square of four pixels at each of these places. */
function canvas(places: [number, number][]): HTMLCanvasElement {
  const made = Object.assign(document.createElement('canvas'), { width: 400, height: 100 });
  made.style.cssText = 'display:block;width:200px;height:50px';
  const context = made.getContext('2d')!;
  context.fillStyle = '#123456';
  for (const [x, y] of places) context.fillRect(x, y, 4, 4);
  return made;
}

/** More squares than are drawn as vectors. */
const MANY = Array.from({ length: 1001 }, (_, i): [number, number] => [(i % 60) * 6, Math.floor(i / 60) * 5]);

test('a canvas of few rectangles is vectors, one of many an image', () => {
  const few = drawn('', (box) => box.append(canvas([[0, 0], [40, 8]]))); // prettier-ignore
  expect(few.querySelector('image')).toBeNull();
  const path = few.querySelector('path')!;
  expect([path.getAttribute('fill'), path.getAttribute('d')]).toEqual(['#123456', 'M0 0h2v2h-2zM20 4h2v2h-2z']);
  const image = drawn('', (box) => box.append(canvas(MANY))).querySelector('image')!;
  expect(numbers(image, 'x', 'y', 'width', 'height')).toEqual([0, 0, 200, 50]);
  expect(image.getAttribute('href')).toMatch(/^data:image\/png;base64,/);
});

test('a canvas that can be painted again is vectors; pixels, and too many shapes, are an image', () => {
  const painted = (paint: (context: CanvasRenderingContext2D) => void) =>
    drawn('', (box) => {
      const made: Repaintable = canvas(MANY);
      made.style.margin = '0 0 0 7px';
      made.repaint = (other) => paint(other.getContext('2d')!);
      box.append(made);
    });
  const path2d = globalThis.Path2D;
  const svg = painted((context) => {
    context.setTransform(2, 0, 0, 2, 20, 0); // two pixels to each of the page's
    context.fillStyle = 'rgb(255 0 0 / 0.5)';
    context.strokeStyle = 'blue';
    const path = new Path2D('M0 0h5v5z');
    context.fill(path);
    context.stroke(path);
    context.setLineDash([4, 2]);
    context.beginPath();
    context.moveTo(1, 2);
    context.lineTo(3.456, 4);
    context.stroke();
  });
  expect(globalThis.Path2D).toBe(path2d);
  const [shape, line] = [...svg.querySelectorAll('path')];
  expect([...shape.attributes].map(({ name, value }) => `${name}=${value}`).join(' ')).toBe(
    'd=M0 0h5v5z transform=translate(17 0) fill=#ff0000 fill-opacity=0.5 stroke=#0000ff stroke-width=1',
  );
  expect([line.getAttribute('d'), line.getAttribute('stroke-dasharray')]).toEqual(['M1 2L3.46 4', '4 2']);
  const image = (svg: Element) => svg.querySelector('image') !== null;
  expect(image(svg)).toBe(false);
  expect(image(painted((context) => context.putImageData(new ImageData(1, 1), 0, 0)))).toBe(true);
  const crowd = (context: CanvasRenderingContext2D) => {
    for (let i = 0; i < 5001; i++) context.fillRect(i, 0, 1, 1);
  };
  expect(image(painted(crowd))).toBe(true);
});

test('inline SVG is copied with what style sheets say', () => {
  const html = `<style>.m{fill:rgb(1 2 3);stroke:#040506;stroke-width:3px;text-anchor:middle}</style>
    <svg class="m" width="100" height="50" viewBox="0 0 50 25" style="margin-left:10px">
      <g transform="translate(5 5)"><circle r="2" onclick="x()" class="m" data-x="1"/></g>
      <text x="4" y="6">a<tspan style="fill:red">b</tspan></text></svg>`;
  const svg = drawn(html);
  const outer = svg.querySelector('g[transform]')!;
  expect(outer.getAttribute('transform')).toMatch(/^matrix\(2 0 0 2 10 /);
  expect(outer.getAttribute('fill')).toBe('#010203');
  const circle = svg.querySelector('circle')!;
  expect([...circle.attributes].map(({ name }) => name)).toEqual(['r']); // the rest holds already
  expect(svg.querySelector('text')!.textContent).toBe('ab');
  expect(svg.querySelector('tspan')!.getAttribute('fill')).toBe('#ff0000');
});

test('ids are of one picture alone, and text that looks like one stays', () => {
  const ramp = (color: string) => {
    const element = document.createElement('div');
    element.innerHTML =
      `<p>url(#r) id="r" href="#r"</p><svg width="20" height="20"><defs><linearGradient id="r"><stop offset="0" stop-color="${color}"/>` +
      '</linearGradient></defs><rect fill="url(#r)" width="20" height="20"/></svg>';
    document.body.append(element);
    return svgOf(element, { title: '', provenance: {}, writer: '' });
  };
  const [red, blue, again] = ['red', 'blue', 'red'].map(ramp);
  const idOf = (svg: string) => / id="([^"]+-r)"/.exec(svg)![1];
  expect(idOf(red)).not.toBe(idOf(blue));
  expect(idOf(again)).toBe(idOf(red)); // equal pictures are equal
  expect(red).toContain(`fill="url(#${idOf(red)})"`);
  const made = new DOMParser().parseFromString(red, 'image/svg+xml');
  expect(texts(made.documentElement)).toEqual(['url(#r) id="r" href="#r"']);
});

test('shadow roots are walked', () => {
  const svg = drawn('<div></div>', (box) => {
    box.firstElementChild!.attachShadow({ mode: 'open' }).innerHTML = '<b>inside</b>';
  });
  expect(texts(svg)).toEqual(['inside']);
});

test('the chunks of a PNG', () => {
  const png = withText(new Uint8Array(40), { Title: 'é' }, 254);
  const view = new DataView(png.buffer);
  expect(view.getUint32(33)).toBe(12); // "Title", five zeros, two bytes
  expect(new TextDecoder().decode(png.subarray(37, 46))).toBe('iTXtTitle');
  // pHYs of 254 dots an inch: 10,000 a metre; the CRC is zlib's.
  const at = 33 + 12 + 12;
  expect(new TextDecoder().decode(png.subarray(at + 4, at + 8))).toBe('pHYs');
  expect([view.getUint32(at + 8), view.getUint32(at + 12), png[at + 16]]).toEqual([10_000, 10_000, 1]);
  expect(png.length).toBe(40 + 24 + 21);
});

test('names of files', () => {
  expect(nameOf('Attention · L1H0/<x>', 'png')).toBe('attention-l1h0-x.png');
  expect(nameOf('…', 'svg')).toBe('figure.svg');
});

test('a saved page is the document as it was opened, with what is picked', async () => {
  const opened = document.implementation.createHTMLDocument('x');
  opened.documentElement.className = 'bare drawn';
  const json = '{"selection":{"heads":[0]},"views":{},"text":"\\u003c/script>"}';
  opened.head.innerHTML = '<script type="module">unpacked</scr' + 'ipt><style>s</style>';
  opened.body.innerHTML =
    `<div data-mechviz-figure><script type="application/json">{"first":1}</scr` +
    `ipt></div><div data-mechviz-figure><script type="application/json">${json}</scr` +
    `ipt><div class="mechviz"></div></div><script id="mechviz-bundle">b</scr` +
    `ipt>`;
  const text = pageFile(opened, opened.querySelector('.mechviz')!, { ...emptySelection(), heads: [3] });
  const again = new DOMParser().parseFromString(text, 'text/html');
  expect(text.startsWith('<!doctype html><html class="page">')).toBe(true);
  expect(again.querySelector('.mechviz')).toBeNull();
  expect([...again.querySelectorAll('script')].map((script) => script.textContent!.slice(0, 9))).toEqual([
    '{"first":',
    '{"selecti',
    'b',
  ]);
  const data = await figureIn(again.querySelectorAll('script')[1]);
  expect(data.selection.heads).toEqual([3]);
  expect((data as unknown as { text: string }).text).toBe('</script>');
  expect((await figureIn(again.querySelectorAll('script')[0])) as unknown).toEqual({ first: 1 });
  expect(opened.querySelector('.mechviz')).not.toBeNull(); // the open one is as it was
});

test('data of a page in the figure format', () => {
  const header: Header = { dtype: 'uint8', shape: [2], encoding: 'raw', layout: 'dense', exact: true };
  const text = figureFile(
    {
      layout: { kind: 'view', id: '0' },
      views: {
        '0': {
          kind: 'tokens',
          props: {
            values: { $array: 'a0' },
            frame: { title: 'é', made: { mechviz: '1', provenance: { model: 'm' } } },
          },
        },
      },
      arrays: { a0: header },
      selection: {},
    },
    emptySelection(),
    { bytes: new Map([['a0', new Uint8Array([1, 255])]]), width: 900, heights: { '0': 300 } },
  );
  expect(text).toMatch(/^[\x00-\x7f]*$/);
  const { format, version, written_by, views, arrays } = JSON.parse(text);
  expect([format, version, written_by]).toEqual(['mechviz figure', 1, 'mechviz 1']);
  expect(arrays.a0).toEqual({ ...header, lazy: false, data: 'Af8=' });
  expect([views['0'].provenance, views['0'].heights, views['0'].props.frame.title]).toEqual([
    { model: 'm' },
    { '900': 300 },
    'é',
  ]);
});

test('a figure is put on paper and taken off again', () => {
  const host = document.createElement('div');
  host.dataset.theme = 'dark';
  const figure = {
    host,
    paper: undefined as Parameters<typeof setPaper>[1],
    get theme() {
      return this.paper ? 'light' : 'dark';
    },
  };
  setPaper(figure, { width_mm: 84, ground: 'white', caption: false });
  expect([host.dataset.paper, host.dataset.theme]).toEqual(['white', 'light']);
  expect(host.style.width).toBe(`${Math.round(84 * PX_PER_MM) - 2 * PAPER_MARGIN}px`);
  setPaper(figure, undefined);
  expect([host.dataset.paper, host.dataset.theme, host.style.width]).toEqual([undefined, 'dark', '']);
});

test('numbers in cells are short, and of a tenth of the scale and more', () => {
  expect([0.95, 0.1, 1, 0.996, -0.304].map((v) => brief(v, 1))).toEqual(['.95', '.10', '1', '1', '−.30']);
  // A limit of 1.02 costs no decimal.
  expect([0.52, 1.02, -1.3].map((v) => brief(v, 1.02))).toEqual(['.52', '1', '−1.3']);
  expect([2.44, -2.44, 0.04].map((v) => brief(v, 5))).toEqual(['2.4', '−2.4', '']);
  expect([12.4, -123.4, 12345].map((v) => brief(v, 2e4))).toEqual(['12', '−123', '']);
  expect(brief(0.04, 0.1)).toBe(''); // two decimals would say little
  expect([0.24, -0.03].map((v) => brief(v, 0.24))).toEqual(['.24', '−.03']);
  expect([1, -1.02, 0.98].map((v) => brief(v, 5))).toEqual(['1.0', '−1.0', '1.0']); // as its neighbours
  const rgb = Array.from({ length: 256 }, (_, i): [number, number, number] => [i, i, i]);
  const palette = {
    lut: { rgb, packed: new Uint32Array(256) },
    plate: 0,
    mark: 0,
    fg: 0,
    foreground: [0, 0, 0] as const,
  };
  const look = {
    palette,
    scale: { ramp: 'ink', limits: [0, 1] },
    perRow: false,
    causal: true,
    padding: false,
  } as never;
  const counted = { values: [3, 1, NaN, 0], rows: 2, cols: 2, step: 1, origin: { query: 0, key: 0 } } as never;
  const counts = { palette, scale: { ramp: 'ink', limits: [0, 3] }, perRow: false, causal: false, padding: false };
  expect(numbersIn(counted, counts as never).map(({ text }) => text)).toEqual(['3', '1']);
  const tile = { values: [0.2, 0.9, 0.05, 1], rows: 2, cols: 2, step: 1, origin: { query: 0, key: 0 } } as never;
  // Above the diagonal 0.9 is masked, 0.05 is too small; dark cells have light numbers.
  expect(numbersIn(tile, look)).toEqual([
    { query: 0, key: 0, text: '.20', color: 'rgb(255 255 255)' },
    { query: 1, key: 1, text: '1', color: 'rgb(0 0 0)' },
  ]);
});
