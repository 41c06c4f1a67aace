/** Svelte publishes no types for what compiled components call. */
declare module 'svelte/internal/client' {
  export function prop(props: object, key: string, flags: number, fallback?: unknown): unknown;
}
declare module 'svelte/internal/flags/legacy';
