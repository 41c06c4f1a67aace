/** The larger views, which figures of text and charts do without: views/lab. */
import type { Component } from 'svelte';
import { register } from './mount';
import type { ViewProps } from './views/types';

register(import.meta.glob<{ default: Component<ViewProps> }>('./views/lab/*.svelte', { eager: true }));
