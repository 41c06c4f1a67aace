/** Where the nodes of a circuit stand, and what lies on a node's paths; no DOM. */

export interface CircuitNode {
  id: string;
  /** From the bottom. */
  row: number;
  label?: string;
  /** The head that it is, for the selection. */
  layer?: number;
  head?: number;
}

export interface CircuitEdge {
  from: string;
  to: string;
  weight: number;
}

export interface Place {
  x: number;
  y: number;
  width: number;
}

const ROW = 84;

/**
 * Rows from bottom to top; within a row, nodes are exchanged as long as that shortens the edges, each by its weight, so
 * that what is strongly joined stands together.
 */
export function layout(
  nodes: CircuitNode[],
  edges: CircuitEdge[],
  width: number,
) {
  const rows = [...new Set(nodes.map((node) => node.row))]
    .sort((a, b) => a - b)
    .map((row) => nodes.filter((node) => node.row === row));
  // Across, in shares of the width.
  const across = new Map<string, number>();
  const place = (row: CircuitNode[]) =>
    row.forEach((node, i) => across.set(node.id, (i + 0.5) / row.length));
  rows.forEach(place);
  const cost = () =>
    edges.reduce(
      (sum, { from, to, weight }) =>
        sum +
        Math.abs(weight * ((across.get(from) ?? 0) - (across.get(to) ?? 0))),
      0,
    );
  const exchange = (row: CircuitNode[], i: number, j: number) => {
    [row[i], row[j]] = [row[j], row[i]];
    place(row);
  };
  let best = cost();
  for (let better = true; better;) {
    better = false;
    for (const row of rows) {
      for (let i = 0; i < row.length; i++) {
        for (let j = i + 1; j < row.length; j++) {
          exchange(row, i, j);
          const now = cost();
          if (now < best - 1e-9) [best, better] = [now, true];
          else exchange(row, i, j);
        }
      }
    }
  }

  const height = rows.length * ROW - ROW + 40;
  const places = new Map<string, Place>();
  rows.forEach((row, level) => {
    for (const node of row) {
      const text = (node.label ?? node.id).length * 7.2 + 20;
      const x = width * across.get(node.id)!;
      places.set(node.id, {
        x,
        y: height - 20 - level * ROW,
        width: Math.min(text, width / row.length - 8),
      });
    }
  });
  const nowhere: Place = { x: 0, y: 0, width: 0 };
  return { height, of: (id: string): Place => places.get(id) ?? nowhere };
}

/** All that leads to a node and on from it. */
export function pathsThrough(id: string, edges: CircuitEdge[]) {
  const found = { nodes: new Set([id]), edges: new Set<CircuitEdge>() };
  for (const [here, there] of [
    ["to", "from"],
    ["from", "to"],
  ] as const) {
    const reached = new Set([id]);
    const ahead = [id];
    while (ahead.length) {
      const at = ahead.pop();
      for (const edge of edges) {
        if (edge[here] !== at) continue;
        found.edges.add(edge);
        found.nodes.add(edge[there]);
        if (!reached.has(edge[there])) ahead.push(edge[there]);
        reached.add(edge[there]);
      }
    }
  }
  return found;
}
