// Shared by vite, vitest, svelte-check and editors.
/** @type {import('@sveltejs/vite-plugin-svelte').SvelteConfig} */
export default {
  compilerOptions: {
    // Styles travel in the JavaScript and land in the root a component is mounted in, so they work inside a shadow root.
    css: 'injected',
    // As short as told apart: it stands in every selector and on every element.
    cssHash: ({ hash, filename }) => `m${hash(filename).slice(0, 4)}`,
    runes: true,
    // No mark of Svelte's on `window`: a notebook is not ours to write on.
    discloseVersion: false,
  },
  vitePlugin: { emitCss: false },
};
