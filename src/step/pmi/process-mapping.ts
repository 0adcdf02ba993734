/**
 * Which ranks share memory, as MPICH asks for it (key PMI_process_mapping): "(vector,(NODE,NODES,RANKS),…)" stands for
 * NODES nodes from number NODE on, with RANKS consecutive ranks each, block after block in the order of the ranks.
 */
export const MAPPING_KEY = "PMI_process_mapping";

/** `nodeOf[rank]` is the number of the rank's node. */
export function processMapping(nodeOf: readonly number[]): string {
  const blocks: { node: number; nodes: number; ranks: number }[] = [];
  for (let rank = 0; rank < nodeOf.length; ) {
    const node = nodeOf[rank] as number;
    let end = rank;
    while (end < nodeOf.length && nodeOf[end] === node) end++;
    const last = blocks.at(-1);
    if (last !== undefined && last.ranks === end - rank && last.node + last.nodes === node) last.nodes++;
    else blocks.push({ node, nodes: 1, ranks: end - rank });
    rank = end;
  }
  return `(vector,${blocks.map(({ node, nodes, ranks }) => `(${node},${nodes},${ranks})`).join(",")})`;
}
