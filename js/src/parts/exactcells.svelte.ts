/** The kernel's own numbers of cells that are shown as they travelled, for files. */
import type { Pattern, Pooling, Tile } from '../pattern/pattern';
import { ReadHeads, type Heads } from './readheads.svelte';

/** Milliseconds after which what travelled is taken. */
const PATIENCE = 15_000;

/** The cells of a tile again, of other patterns; undefined where they do not come. */
export function cellsAgain(heads: () => Heads, like: Tile, pooling: Pooling): Promise<Tile | undefined> {
  const { origin, step, rows, cols } = like;
  return new Promise((resolve) => {
    const stop = $effect.root(() => {
      const read = new ReadHeads(heads);
      $effect(() => {
        const pattern: Pattern | undefined = read.pattern;
        const tile = pattern?.tile(
          step,
          [origin.query, Math.min(pattern.queries, origin.query + rows * step)],
          [origin.key, Math.min(pattern.keys, origin.key + cols * step)],
          pooling,
        );
        if (tile && (tile.done ?? tile.rows) === tile.rows) end(tile);
      });
    });
    const timer = setTimeout(() => end(undefined), PATIENCE);
    function end(tile: Tile | undefined): void {
      clearTimeout(timer);
      resolve(tile);
      queueMicrotask(stop);
    }
  });
}
