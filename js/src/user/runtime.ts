/** What a user's modules may import: all of Svelte, and our parts. The names are those of compiler/names.ts. */
import * as svelte from 'svelte';
import * as animate from 'svelte/animate';
import * as attachments from 'svelte/attachments';
import * as easing from 'svelte/easing';
import * as events from 'svelte/events';
import * as internal from 'svelte/internal/client';
// Components of Svelte 4 need it; ours are not changed by it.
import 'svelte/internal/flags/legacy';
import * as motion from 'svelte/motion';
import * as reactivity from 'svelte/reactivity';
import * as store from 'svelte/store';
import * as transition from 'svelte/transition';
import * as mechviz from '../lib/index';
import { BEGIN, type Begin } from './entry.svelte';

// svelte/internal/shared/constants: flags of a prop.
const IS_BINDABLE = 8;
const IS_LAZY = 16;

type Props = Record<PropertyKey, unknown>;

/**
 * Svelte's own, but a bound prop may begin with the component's default. Between components Svelte refuses that, for
 * the parent's variable would change by surprise; here the parent is Python, which asks for just that.
 */
function prop(props: Props, key: string, flags: number, fallback?: unknown) {
  const begin = props[BEGIN] as Begin | undefined;
  if (begin && flags & IS_BINDABLE && fallback !== undefined && props[key] === undefined) {
    begin(key, flags & IS_LAZY ? svelte.untrack(fallback as () => unknown) : fallback);
  }
  return internal.prop(props, key, flags, fallback);
}

// Not copies: some of Svelte's exports have their value only once something is mounted.
export const runtime: Record<string, Record<string, unknown>> = {
  mechviz: mechviz,
  svelte: svelte,
  'svelte/animate': animate,
  'svelte/attachments': attachments,
  'svelte/easing': easing,
  'svelte/events': events,
  'svelte/internal/client': Object.create(internal, { prop: { value: prop } }) as Record<string, unknown>,
  'svelte/internal/flags/legacy': {},
  'svelte/motion': motion,
  'svelte/reactivity': reactivity,
  'svelte/store': store,
  'svelte/transition': transition,
};
