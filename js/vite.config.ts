import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin, type Rolldown } from 'vite';

const root = import.meta.dirname;
/** Where Python looks for what the browser needs. MECHVIZ_STATIC lets a test build beside the real bundle. */
const outDir = resolve(process.env.MECHVIZ_STATIC ?? resolve(root, '../mechviz/static'));

/**
 * Five scripts from one source and one lockfile, chosen by `vite build --mode NAME`. Budgets are in bytes, minified and
 * gzip: a displayed widget, or a saved page, carries one of the first four.
 */
const BUILDS = {
  // Text and charts.
  production: { entry: 'index', name: 'mechviz', format: 'es', budget: { minified: 330_000, gzip: 110_000 } },
  // The same with the views of views/lab: attention, matrices, the bench.
  lab: { entry: 'lab', name: 'mechviz-lab', format: 'es', budget: { minified: 540_000, gzip: 180_000 } },
  // The first and the second with all of Svelte's runtime, for figures that hold a user's component; an IIFE, so that what
  // is linked against it can stand behind it in one script and reach it by name. The runtime is 40 KB of each.
  full: { entry: 'full', name: 'mechviz-full', format: 'iife', budget: { minified: 430_000, gzip: 150_000 } },
  'full-lab': {
    entry: 'fulllab',
    name: 'mechviz-full-lab',
    format: 'iife',
    budget: { minified: 640_000, gzip: 215_000 },
  },
  // Svelte's compiler, run inside Python (mechviz/_svelte).
  compiler: { entry: 'compiler', name: 'mechviz-compiler', format: 'iife', budget: { minified: 1e6, gzip: 300_000 } },
} as const;
type Build = (typeof BUILDS)[keyof typeof BUILDS];

/**
 * Writes every character above U+007F as an escape.
 *
 * A page allows its script by hash; where the host of a `srcdoc` frame declares no charset, one non-ASCII byte changes
 * the hash and the script is refused. Runs last, on minified code, where such characters stand in literals only.
 */
function ascii(): Plugin {
  return {
    name: 'mechviz:ascii',
    enforce: 'post',
    generateBundle(_options, bundle) {
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== 'chunk') continue;
        chunk.code = chunk.code.replace(
          /[^\x00-\x7f]/g,
          (unit) => '\\u' + unit.charCodeAt(0).toString(16).padStart(4, '0'),
        );
      }
    },
  };
}

/** Styles without their comments, which the minifier takes for text. */
const lean = (css: string) => css.replace(/\/\*[^]*?\*\//g, '');

/** The same of style sheets that are read as text. */
function leanSheets(): Plugin {
  return {
    name: 'mechviz:css',
    apply: 'build',
    enforce: 'pre',
    load: (id) =>
      id.endsWith('.css?raw')
        ? `export default ${JSON.stringify(lean(readFileSync(id.slice(0, -4), 'utf8')).replace(/\s+/g, ' '))}`
        : undefined,
  };
}

/**
 * Svelte's switches for what we do not use (pages drawn on a server, components of Svelte 4, traces, `await` in markup) as
 * constants, so that the code behind them is left out. Users' components may use some: the full bundle keeps them.
 */
function switchedOff(): Plugin {
  return {
    name: 'mechviz:svelte',
    apply: 'build',
    transform: (code, id) =>
      /svelte\/src\/internal\/(flags\/index|client\/dom\/hydration)\.js/.test(id)
        ? code
            .replace(/export let (\w+_flag|hydrating) = false/g, 'export const $1 = false')
            .replace(/^\t+(\w+_flag|hydrating) = \w+;$/gm, '')
        : undefined,
  };
}

/** Prints what the bundle weighs and fails the build when it is more than one file or more than the budget. */
function budget({ name, budget: limit }: Build): Plugin {
  return {
    name: 'mechviz:budget',
    enforce: 'post',
    generateBundle(_options, bundle) {
      const chunks = Object.values(bundle).filter((output) => output.type === 'chunk');
      const others = Object.values(bundle).filter((output) => output.type !== 'chunk');
      if (chunks.length !== 1 || others.length > 0) {
        // anywidget imports the bundle from a blob: URL, where a second file cannot be reached.
        this.error(`the bundle must be one file; got ${Object.keys(bundle).join(', ')}`);
      }
      const code = chunks[0]!.code;
      const size = { minified: Buffer.byteLength(code), gzip: gzipSync(code, { level: 9 }).length };
      for (const line of shares(chunks[0]!)) console.log(`  ${line}`);
      for (const kind of ['minified', 'gzip'] as const) {
        const line = `${name}.js ${kind}: ${(size[kind] / 1000).toFixed(1)} KB of ${limit[kind] / 1000} KB`;
        if (size[kind] > limit[kind]) this.error(`${line}: over the budget`);
        console.log(line);
      }
    },
  };
}

/** What each view, and everything that views share, takes of a bundle, before it is minified: "views/tokens 9.3 KB". */
function shares(chunk: Rolldown.OutputChunk): string[] {
  const sizes = new Map<string, number>();
  for (const [id, module] of Object.entries(chunk.modules)) {
    const path = id.replaceAll('\\', '/');
    const view = path.match(/src\/(views\/[\w/]+)\./)?.[1];
    const folder = path.match(/src\/(\w+)\//)?.[1];
    const share = view ?? (path.includes('node_modules') ? 'packages' : (folder ?? 'core'));
    sizes.set(share, (sizes.get(share) ?? 0) + module.renderedLength);
  }
  const largestFirst = [...sizes].sort((a, b) => b[1] - a[1]);
  return largestFirst.map(([share, size]) => `${share} ${(size / 1000).toFixed(1)} KB`);
}

/** The words of some of views/lab are of no use to a bundle without them. */
function ownWords({ name }: Build): Plugin {
  const foreign = /^(bench|live|neurons)\./;
  return {
    name: 'mechviz:words',
    apply: 'build',
    enforce: 'pre',
    load(id) {
      if (name.endsWith('lab') || !id.endsWith('/words.json')) return undefined;
      const words = Object.entries(JSON.parse(readFileSync(id, 'utf8')) as Record<string, string>);
      return JSON.stringify(Object.fromEntries(words.filter(([word]) => !foreign.test(word))));
    },
  };
}

/** Puts what Python reads beside the bundle: the colours, for its stills, and the words of the interface. */
function shared(): Plugin {
  const files = ['tokens.css', 'words.json'];
  return {
    name: 'mechviz:shared',
    buildStart() {
      for (const file of files) this.addWatchFile(resolve(root, 'src', file));
    },
    writeBundle() {
      mkdirSync(outDir, { recursive: true });
      for (const file of files) copyFileSync(resolve(root, 'src', file), resolve(outDir, file));
    },
  };
}

export default defineConfig(({ mode }) => {
  const build: Build = BUILDS[mode as keyof typeof BUILDS] ?? BUILDS.production;
  return {
    root,
    plugins: [
      svelte({ preprocess: { style: ({ content }) => ({ code: lean(content) }) } }),
      leanSheets(),
      ownWords(build),
      ...(mode.startsWith('full') ? [] : [switchedOff()]),
      ascii(),
      budget(build),
      shared(),
    ],
    // A library build leaves this to the consumer; ours is a browser, which has no `process`.
    define: { 'process.env.NODE_ENV': '"production"' },
    build: {
      target: 'es2022',
      outDir,
      emptyOutDir: false,
      sourcemap: false,
      // The style sheets that are part of the script (`?inline`).
      cssMinify: 'lightningcss',
      license: { fileName: `${build.name}.licenses.md` },
      reportCompressedSize: false,
      lib: {
        entry: resolve(root, `src/${build.entry}.ts`),
        formats: [build.format],
        name: `__${build.name.replace('-lab', '').replace('-', '_')}`,
        fileName: () => `${build.name}.js`,
      },
      rolldownOptions: {
        optimization: { inlineConst: { mode: 'all', pass: 3 } },
        // A class of Svelte's for custom elements, which we have none of, is made when its module is read.
        treeshake: { moduleSideEffects: [{ test: /svelte\/src\/.*custom-element/, sideEffects: false }] },
        output: {
          codeSplitting: false,
          comments: false,
          // Vite keeps the white space of ES libraries for later bundlers; nothing bundles this one again (a third smaller).
          minify: { compress: true, mangle: true, codegen: true },
        },
      },
    },
  };
});
