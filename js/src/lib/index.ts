/** What a user's component imports from "mechviz"; the names are also in compiler/names.ts. */
export { fixed, general, readout, tick } from '../number';
export { position, ticks } from '../scale';
export { NdArray } from './array';
export { default as Chart } from './Chart.svelte';
export { default as ColorBar } from './ColorBar.svelte';
export { getFigure } from './figure';
export { default as Frame } from './Frame.svelte';
export { default as HeatMap } from './HeatMap.svelte';
export { colorScale, limitsOf } from './scale';
export { default as TokenText } from './TokenText.svelte';
export { default as Tooltip } from './Tooltip.svelte';
