/** Node states as sinfo and scontrol name them (commands.md §7, §8.3). */
import type { NodeRecord } from "#job/record.ts";

export type NodeStateWord = keyof typeof COMPACT;
const COMPACT = {
  down: "down",
  idle: "idle",
  allocated: "alloc",
  "allocated+": "alloc+",
  mixed: "mix",
  completing: "comp",
  drained: "drain",
  draining: "drng",
} as const;
/** Slurm's numbers of the base states and flags, which sort rows. */
const RANK = { down: 1, idle: 2, allocated: 3, mixed: 5 } as const;
const DRAIN_RANK = 0x200;
const COMPLETING_RANK = 0x400;

/** What the node does, whatever was asked of it. */
export function nodeBase(node: NodeRecord): "down" | "idle" | "allocated" | "mixed" {
  if (node.state === "DOWN") return "down";
  if (node.allocatedCpus <= 0) return "idle";
  return node.allocatedCpus >= node.cpus ? "allocated" : "mixed";
}

export function longNodeState(node: NodeRecord): NodeStateWord {
  const base = nodeBase(node);
  if (base === "down") return "down";
  if (node.state === "DRAIN") return base === "idle" && !node.isCompleting ? "drained" : "draining";
  if (base === "allocated") return node.isCompleting ? "allocated+" : "allocated";
  return node.isCompleting ? "completing" : base;
}

export function compactNodeState(node: NodeRecord): string {
  return COMPACT[longNodeState(node)];
}

/** Higher stands first in sinfo. */
export function nodeStateRank(node: NodeRecord): number {
  return RANK[nodeBase(node)] + (node.state === "DRAIN" ? DRAIN_RANK : 0) + (node.isCompleting ? COMPLETING_RANK : 0);
}

/** `["MIXED", "DRAIN"]`: JSON's list; scontrol joins it with `+`. */
export function nodeStateFlags(node: NodeRecord): string[] {
  const flags = [nodeBase(node).toUpperCase()];
  if (node.state === "DRAIN") flags.push("DRAIN");
  if (node.isCompleting) flags.push("COMPLETING");
  return flags;
}
