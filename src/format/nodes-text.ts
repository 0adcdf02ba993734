import { compressHostlist } from "#options/hostlist.ts";

/** Folded node names; most jobs have none or one, which need no folding. */
export function nodesText(nodes: readonly string[]): string {
  if (nodes.length === 0) return "";
  return nodes.length === 1 ? (nodes[0] ?? "") : compressHostlist(nodes);
}
