/**
 * sinfo's tables (commands.md §7): nodes and partitions in, lines out. Nodes of one partition with the same values of the
 * shown fields share a row; fields that belong to no partition join rows of several partitions. The nodes are filtered by
 * the caller (-n, -t, -d, -r); a partition that lost all of its nodes still has a row, state `n/a`.
 */
import type { NodeRecord, PartitionRecord } from "#job/record.ts";
import { ownEntry, parseFields, parseLetters, renderLine, resolveParts, type Column } from "./columns.ts";
import { isUnavailable, SINFO_FIELDS, SINFO_LETTERS, type SinfoContext, type SinfoField, type SinfoRow } from "./sinfo-fields.ts";
import { nodeStateRank } from "./node-state.ts";
import { dateLine, timeFormatter } from "./times.ts";

export type SinfoFormat =
  | { readonly kind: "o" | "O"; readonly text: string }
  | { readonly kind: "default" | "long" | "summary" | "reasons" };

export interface SinfoView {
  /** In the order of the configuration, filtered by -p. */
  readonly partitions: readonly PartitionRecord[];
  /** In the order of the configuration. */
  readonly nodes: readonly NodeRecord[];
  readonly format: SinfoFormat;
  /** `-l` together with -N or -R; kind "long" is `-l` alone. */
  readonly isLong: boolean;
  /** `-N` */
  readonly byNode: boolean;
  /** `-e` */
  readonly isExact: boolean;
  /** `-S`; null is the default order. */
  readonly sort: string | null;
  readonly noHeader: boolean;
  readonly nowMs: number;
  readonly timeFormat: string | null;
  /** `-M NAME`: shown in %V and as the line `CLUSTER: NAME`. */
  readonly clusterName?: string | null;
  /** `-i`: the date line stands before each block. */
  readonly hasDateLine?: boolean;
  /** False when -n chose the nodes: partitions without them have no row then. Default true. */
  readonly showEmptyPartitions?: boolean;
}

export interface Rendered {
  readonly lines: string[];
  readonly errors: string[];
}

export function renderSinfo(view: SinfoView): Rendered {
  const errors: string[] = [];
  const lines: string[] = [];
  const context: SinfoContext = { formatTime: timeFormatter(view.timeFormat, view.nowMs), clusterName: view.clusterName ?? null };
  const isLong = view.format.kind === "long" || (view.isLong && view.format.kind !== "o" && view.format.kind !== "O");
  if (!view.noHeader) {
    if (isLong || view.hasDateLine === true) lines.push(dateLine(view.nowMs));
    if (view.clusterName !== undefined && view.clusterName !== null) lines.push(`CLUSTER: ${view.clusterName}`);
  }
  const columns = compile(view, (name) =>
    errors.push(
      view.format.kind === "O" ? `sinfo: error: Invalid job format specification: ${name}` : `Invalid node format specification: ${name}`,
    ),
  );
  if (!view.noHeader) {
    lines.push(
      renderLine(
        columns,
        (field) => field.header,
        (field) => field.isTitleWhole === true,
      ),
    );
  }
  for (const row of sortRows(makeRows(view, columns), view)) lines.push(renderLine(columns, (field) => field.cell(row, context)));
  return { lines, errors };
}

/** The canned formats; partition and node columns grow to the longest name. */
function cannedFormat(view: SinfoView): string {
  const longest = (names: readonly string[]) => names.reduce((width, name) => Math.max(width, name.length), 9);
  const partition = longest(view.partitions.map(({ name, isDefault }) => (isDefault ? `${name}*` : name)));
  const node = longest(view.nodes.map(({ name }) => name));
  const isLong = view.isLong || view.format.kind === "long";
  if (view.format.kind === "summary") return `partition:${partition} ,available:.5 ,time:.10 ,nodeaiot:.16 ,nodelist:0`;
  if (view.format.kind === "reasons") {
    return isLong ? "reason:20 ,userlong:12 ,timestamp:19 ,statecompact:6 ,nodelist:0" : "reason:20 ,user:9 ,timestamp:19 ,nodelist:0";
  }
  if (view.byNode) {
    return isLong
      ? `nodelist:${node} ,nodes:.6 ,partition:.${partition} ,statelong:.11 ,cpus:4 ,socketcorethread:.8 ,memory:.6 ,disk:.8 ,weight:.6 ,features:.8 ,reason:20`
      : `nodelist:${node} ,nodes:.6 ,partition:.${partition} ,statecompact:6`;
  }
  return isLong
    ? `partition:${partition} ,available:.5 ,time:.10 ,size:.10 ,root:.4 ,oversubscribe:.8 ,groups:.10 ,nodes:.6 ,statelong:.11 ,nodelist:0`
    : `partition:${partition} ,available:.5 ,time:.10 ,nodes:.6 ,statecompact:.6 ,nodelist:0`;
}

function compile(view: SinfoView, onUnknown: (name: string) => unknown): Column<SinfoField>[] {
  if (view.format.kind === "o") {
    const text = view.format.text === "%all" ? ALL_LETTERS : view.format.text;
    return resolveParts(parseLetters(text), ofLetter, onUnknown, true);
  }
  const text = view.format.kind === "O" ? view.format.text : cannedFormat(view);
  const parts = parseFields(text).map((part) =>
    part.kind === "field" && part.name.toLowerCase() === "all" ? parseLetters(ALL_LETTERS) : part,
  );
  return parts.flatMap((part) =>
    Array.isArray(part)
      ? resolveParts(part, ofLetter, onUnknown, true)
      : resolveParts([part], (name) => ownEntry(SINFO_FIELDS, name.toLowerCase()), onUnknown, false),
  );
}

/** `%all`, and "all" among the names of -O: lower case first, and behind upper case a blank, as 22.05 has it. */
const ALL_LETTERS = Object.keys(SINFO_LETTERS)
  .filter((letter) => letter !== "i")
  .map((letter) => (letter === letter.toLowerCase() ? `1%${letter}|` : `2%${letter} |`))
  .sort()
  .map((text) => text.slice(1))
  .join("")
  .slice(0, -1);

function ofLetter(letter: string): SinfoField | undefined {
  return SINFO_FIELDS[SINFO_LETTERS[letter] ?? ""];
}

interface OpenRow extends SinfoRow {
  readonly partitionKey: string;
  readonly nodes: NodeRecord[];
  readonly seen: Set<string>;
}

function makeRows(view: SinfoView, columns: readonly Column<SinfoField>[]): SinfoRow[] {
  const fields = columns.flatMap((column) => (column.kind === "field" ? [column.field] : []));
  const partitionKeys = fields.flatMap((field) => field.partitionKey ?? []);
  const nodeKeys = fields.flatMap((field) => [field.nodeKey, view.isExact ? field.sizeKey : undefined]).filter((key) => key !== undefined);
  const byName = new Map(view.nodes.map((node) => [node.name, node]));
  const rows = new Map<string, OpenRow>();
  const partitionsWithRow = new Set<string>();
  for (const partition of view.partitions) {
    const partitionKey = partitionKeys.map((key) => key(partition)).join("\n");
    for (const name of partition.nodes) {
      const node = byName.get(name);
      if (node === undefined || (view.format.kind === "reasons" && (!isUnavailable(node) || node.reason === null))) continue;
      // -N has a line for each node and partition, whatever is shown.
      const key = [view.byNode ? `${partition.name}\n${name}` : "", partitionKey, ...nodeKeys.map((nodeKey) => nodeKey(node))].join("\n\n");
      const row = rows.get(key) ?? { partition, partitionKey, nodes: [], seen: new Set<string>() };
      rows.set(key, row);
      partitionsWithRow.add(partitionKey);
      if (row.seen.has(name)) continue;
      row.seen.add(name);
      row.nodes.push(node);
    }
  }
  if (view.byNode || view.format.kind === "reasons" || view.showEmptyPartitions === false) return [...rows.values()];
  return [...rows.values(), ...emptyRows(view.partitions, partitionKeys, partitionsWithRow)];
}

function emptyRows(
  partitions: readonly PartitionRecord[],
  keys: readonly ((partition: PartitionRecord) => string)[],
  present: Set<string>,
): SinfoRow[] {
  return partitions.flatMap((partition) => {
    const key = keys.map((part) => part(partition)).join("\n");
    if (present.has(key)) return [];
    present.add(key);
    return [{ partition, nodes: [] }];
  });
}

type Compare = (a: SinfoRow, b: SinfoRow) => number;

/** Default `#P,-t`: partitions as configured, then states from the highest number down; -N: by node. */
function sortRows(rows: readonly SinfoRow[], view: SinfoView): SinfoRow[] {
  const configured = new Map(view.partitions.map((partition, index) => [partition.name, index]));
  const position = new Map(view.nodes.map((node, index) => [node.name, index]));
  const byPartition: Compare = (a, b) => (configured.get(a.partition.name) ?? 0) - (configured.get(b.partition.name) ?? 0);
  const byState: Compare = (a, b) => rank(a) - rank(b);
  const byNode: Compare = (a, b) => (position.get(a.nodes[0]?.name ?? "") ?? -1) - (position.get(b.nodes[0]?.name ?? "") ?? -1);
  const rank = (row: SinfoRow) => (row.nodes[0] === undefined ? -1 : nodeStateRank(row.nodes[0]));
  const compares: Compare[] = [];
  if (view.sort !== null && view.sort !== "") {
    for (const [, sign, letter] of view.sort.matchAll(/([-+#]*)([A-Za-z])/g)) {
      const compare =
        letter === "t" || letter === "T"
          ? byState
          : letter === "N" || letter === "n"
            ? byNode
            : letter === "P" && (sign ?? "").includes("#")
              ? byPartition
              : byCell(letter ?? "");
      compares.push((sign ?? "").includes("-") ? (a, b) => compare(b, a) : compare);
    }
  } else if (view.byNode) compares.push(byNode, byPartition);
  else if (view.format.kind === "reasons") compares.push((a, b) => byState(b, a), byNode);
  else compares.push(byPartition, (a, b) => byState(b, a));
  return rows.toSorted((a, b) => {
    for (const compare of compares) {
      const order = compare(a, b);
      if (order !== 0) return order;
    }
    return 0;
  });
}

/** By the shown text; as numbers where both are. */
function byCell(letter: string): Compare {
  const field = SINFO_FIELDS[SINFO_LETTERS[letter] ?? ""];
  if (field === undefined) return () => 0;
  const context: SinfoContext = { formatTime: String, clusterName: null };
  return (a, b) => {
    const left = field.cell(a, context);
    const right = field.cell(b, context);
    const difference = Number.parseFloat(left) - Number.parseFloat(right);
    if (!Number.isNaN(difference) && difference !== 0) return difference;
    return left < right ? -1 : left > right ? 1 : 0;
  };
}
