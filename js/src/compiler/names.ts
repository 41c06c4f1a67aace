/**
 * What a user's file may import that is no file of its own: exports by module. js/src/full.ts carries them; a test in
 * a browser compares the two lists.
 */
const list = (names: string) => names.split(' ');

export const EXPORTS: Record<string, string[]> = {
  mechviz: list(
    'Chart ColorBar Frame HeatMap NdArray TokenText Tooltip colorScale fixed general getFigure limitsOf position readout tick ticks',
  ),
  svelte: list(
    'afterUpdate beforeUpdate createContext createEventDispatcher createRawSnippet flushSync getAbortSignal getAllContexts ' +
      'getContext hasContext mount onDestroy onMount setContext settled tick unmount untrack',
  ),
  'svelte/animate': list('flip'),
  'svelte/attachments': list('createAttachmentKey fromAction'),
  'svelte/easing': ['back', 'bounce', 'circ', 'cubic', 'elastic', 'expo', 'quad', 'quart', 'quint', 'sine']
    .flatMap((name) => [`${name}In`, `${name}InOut`, `${name}Out`])
    .concat('linear'),
  'svelte/events': list('on'),
  'svelte/motion': list('Spring Tween prefersReducedMotion spring tweened'),
  'svelte/reactivity': list(
    'MediaQuery SvelteDate SvelteMap SvelteSet SvelteURL SvelteURLSearchParams createSubscriber',
  ),
  'svelte/store': list('derived fromStore get readable readonly toStore writable'),
  'svelte/transition': list('blur crossfade draw fade fly scale slide'),
};
