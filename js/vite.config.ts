import { copyFileSync, mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

const root = import.meta.dirname;
/** Where Python looks for what the browser needs. MECHVIZ_STATIC lets a test build beside the real bundle. */
const outDir = resolve(process.env.MECHVIZ_STATIC ?? resolve(root, '../mechviz/static'));

/** What one bundle may weigh: it is sent once per displayed widget and stands in every saved page. */
const BUDGET = { minified: 330_000, gzip: 110_000 };

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

/** Prints what the bundle weighs and fails the build when it is more than one file or more than the budget. */
function budget(): Plugin {
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
      for (const kind of ['minified', 'gzip'] as const) {
        const line = `mechviz.js ${kind}: ${(size[kind] / 1000).toFixed(1)} KB of ${BUDGET[kind] / 1000} KB`;
        if (size[kind] > BUDGET[kind]) this.error(`${line}: over the budget`);
        console.log(line);
      }
    },
  };
}

/** Puts the design tokens beside the bundle: Python reads the same colours for its stills. */
function designTokens(): Plugin {
  const source = resolve(root, 'src/tokens.css');
  return {
    name: 'mechviz:tokens',
    buildStart() {
      this.addWatchFile(source);
    },
    writeBundle() {
      mkdirSync(outDir, { recursive: true });
      copyFileSync(source, resolve(outDir, 'tokens.css'));
    },
  };
}

export default defineConfig({
  root,
  plugins: [svelte(), ascii(), budget(), designTokens()],
  // A library build leaves this to the consumer; ours is a browser, which has no `process`.
  define: { 'process.env.NODE_ENV': '"production"' },
  build: {
    target: 'es2022',
    outDir,
    emptyOutDir: false,
    sourcemap: false,
    license: { fileName: 'mechviz.licenses.md' },
    reportCompressedSize: false,
    lib: {
      entry: resolve(root, 'src/index.ts'),
      formats: ['es'],
      fileName: () => 'mechviz.js',
    },
    rolldownOptions: {
      output: {
        codeSplitting: false,
        comments: false,
        // Vite keeps the white space of ES libraries for later bundlers; nothing bundles this one again (a third smaller).
        minify: { compress: true, mangle: true, codegen: true },
      },
    },
  },
});
