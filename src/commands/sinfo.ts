/** sinfo (commands.md §7). */
import type { Engine } from "#engine/engine.ts";
import { nowMs } from "#job/id.ts";
import type { NodeRecord, PartitionRecord } from "#job/record.ts";
import { parseSinfo, type SinfoLine } from "#options/sinfo.ts";
import { nodeBase } from "#format/node-state.ts";
import { renderSinfo, type SinfoFormat } from "#format/sinfo.ts";
import { openEngine } from "./engine.ts";
import { informationAction } from "./information.ts";
import { isAllowed } from "./job-filter.ts";
import { findCluster, printLoadError, printMachineOutput, repeat, skipsHidden, timeFormat, UNTIL_ENDED } from "./query.ts";
import { complain, printRows } from "./terminal.ts";

const CALL = "slurm_load_partitions";

export async function sinfo(argv: readonly string[]): Promise<number> {
  const line = parseSinfo(argv, process.env);
  const status = await informationAction("sinfo", line.action);
  if (status !== undefined) return status;
  await using engine = await openEngine();
  try {
    const cluster = line.clusters === null ? null : await findCluster("sinfo", line.clusters, engine);
    if (cluster === undefined) return 1;
    return await repeat(line.iterateSeconds, () => show({ line, argv, cluster }, engine));
  } catch (error) {
    return printLoadError("sinfo", CALL, error);
  }
}

interface Query {
  readonly line: SinfoLine;
  readonly argv: readonly string[];
  /** With -M. */
  readonly cluster: string | null;
}

async function show({ line, argv, cluster }: Query, engine: Engine): Promise<number> {
  if (line.reservations) {
    printRows(["No reservations in the system"]); // no engine has any
    return 0;
  }
  let partitions: readonly PartitionRecord[];
  let nodes: readonly NodeRecord[];
  try {
    [partitions, nodes] = await Promise.all([engine.partitions(UNTIL_ENDED), engine.nodes(UNTIL_ENDED)]);
  } catch (error) {
    return printLoadError("sinfo", CALL, error);
  }
  partitions = partitions.filter((partition) =>
    line.partitions === null ? !(partition.isHidden && skipsHidden(line.all)) : isAllowed(partition.name, line.partitions),
  );
  const hasNamed = nodes.some((node) => isAllowed(node.name, line.nodes));
  nodes = nodes.filter((node) => isAllowed(node.name, line.nodes) && isInStates(node, line) && !line.dead);
  if (line.machine !== null) {
    await printMachineOutput(line.machine, { command: "sinfo", argv, engine }, (json, request) =>
      json.sinfoRowsJson(partitions, nodes, request),
    );
    return 0;
  }
  const { lines, errors } = renderSinfo({
    partitions,
    nodes,
    format: formatOf(line),
    isLong: line.long,
    byNode: line.byNode,
    isExact: line.exact,
    sort: line.sort,
    noHeader: line.noHeader,
    nowMs: nowMs(),
    timeFormat: timeFormat(),
    clusterName: cluster,
    hasDateLine: line.long || line.verbose > 0 || line.iterateSeconds !== null,
    showEmptyPartitions: line.nodes === null || !hasNamed,
  });
  complain(...errors);
  printRows(lines);
  return 0;
}

/** -s, -N and -R decide in this order what stands in the columns, when no format was given. */
function formatOf({ format, summarize, byNode, reasons, long }: SinfoLine): SinfoFormat {
  if (format !== null) return { kind: format.kind === "letters" ? "o" : "O", text: format.text };
  if (summarize) return { kind: "summary" };
  if (byNode) return { kind: "default" };
  return { kind: reasons ? "reasons" : long ? "long" : "default" };
}

function isInStates(node: NodeRecord, { states }: SinfoLine): boolean {
  return states === null || states.some((word) => word.split("&").every((state) => isInState(node, state)));
}

/** A drained node is found by the words for draining only, whatever it still runs. */
function isInState(node: NodeRecord, state: string): boolean {
  const isDraining = node.state === "DRAIN";
  const base = nodeBase(node);
  const isBusy = base === "allocated" || base === "mixed" || node.isCompleting;
  switch (state) {
    case "drain":
      return isDraining;
    case "draining":
      return isDraining && isBusy;
    case "drained":
      return isDraining && !isBusy;
    case "completing":
      return node.isCompleting;
    default:
      return !isDraining && state === base;
  }
}
