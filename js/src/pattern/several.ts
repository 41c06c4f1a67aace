/** Several rows or columns read as one. */
import type { Direction, Line, Pattern } from './pattern';

/** The mean of the rows of several queries ("from"), or the sum of the columns of several keys ("by"). */
export function lineOf(pattern: Pattern, direction: Direction, indices: number[]): Line | undefined {
  if (indices.length === 1) return pattern.line(direction, indices[0]);
  if (!indices.length) return undefined;
  if (pattern.lines) return pattern.lines(direction, indices);
  const lines: Line[] = [];
  for (const index of indices) {
    const line = pattern.line(direction, index);
    if (!line) return undefined;
    lines.push(line);
  }
  // What the mask leaves out of one of them counts as 0.
  const start = Math.min(...lines.map((line) => line.start));
  const stop = Math.max(...lines.map((line) => line.start + line.values.length));
  const values = new Float64Array(stop - start);
  for (const line of lines) {
    for (let i = 0; i < line.values.length; i++) values[line.start - start + i] += line.values[i];
  }
  if (direction === 'from') for (let i = 0; i < values.length; i++) values[i] /= lines.length;
  return { start, values };
}
