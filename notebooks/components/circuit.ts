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

/** Rows from bottom to top; in a row, nodes are ordered by where the nodes that they are joined to stand. */
export function layout(nodes: CircuitNode[], edges: CircuitEdge[], width: number) {
  const rows = [...new Set(nodes.map((node) => node.row))].sort((a, b) => a - b);
  const places = new Map<string, Place>();
  const height = rows.length * ROW - ROW + 40;
  rows.forEach((row, level) => {
    const wish = (node: CircuitNode) => {
      const below = edges.filter((edge) => edge.to === node.id && places.has(edge.from));
      const total = below.reduce((sum, edge) => sum + Math.abs(edge.weight), 0);
      return total
        ? below.reduce((sum, edge) => sum + Math.abs(edge.weight) * places.get(edge.from)!.x, 0) / total
        : width / 2;
    };
    const inRow = nodes.filter((node) => node.row === row);
    const ordered = level ? [...inRow].sort((a, b) => wish(a) - wish(b)) : inRow;
    ordered.forEach((node, i) => {
      const x = (width * (i + 0.5)) / ordered.length;
      const text = (node.label ?? node.id).length * 7.2 + 20;
      places.set(node.id, { x, y: height - 20 - level * ROW, width: Math.min(text, width / ordered.length - 8) });
    });
  });
  const nowhere: Place = { x: 0, y: 0, width: 0 };
  return { height, of: (id: string): Place => places.get(id) ?? nowhere };
}

/** All that leads to a node and on from it. */
export function pathsThrough(id: string, edges: CircuitEdge[]) {
  const found = { nodes: new Set([id]), edges: new Set<CircuitEdge>() };
  for (const [here, there] of [
    ['to', 'from'],
    ['from', 'to'],
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
