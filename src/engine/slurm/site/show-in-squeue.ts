/**
 * `squeue -O …Container…`, of jobs and with -s of steps: the site's squeue is asked for the columns that tell which container it
 * is, wide enough for anything, and they are made the ones that the user wants.
 */
import type { ContainerFacts } from "../accounting/container-records.ts";
import { parseRequestComment } from "./container-request.ts";
import type { ContainerLookup, Filter } from "./show-containers.ts";

interface Column {
  readonly name: string;
  readonly width: number;
  readonly asked: string;
}
const DEFAULT_WIDTH = 20;
/** Longer than any path that a comment holds. */
const WIDE = 4500;

interface KeyColumn {
  readonly name: string;
  readonly width: number;
}
const OF_JOBS: readonly KeyColumn[] = [
  { name: "JobID", width: 24 },
  { name: "SubmitTime", width: 24 },
  { name: "Comment", width: WIDE },
];
const OF_STEPS: readonly KeyColumn[] = [
  { name: "StepID", width: 48 },
  { name: "StartTime", width: 24 },
];

/** Undefined when no such column is asked for, or a width is not one we can count with. */
export function squeueFilter(argv: readonly string[], lookup: ContainerLookup): Filter | undefined {
  const at = argv.findIndex((word) => /^(?:-O|--Format(?:=|$))/.test(word));
  if (at < 0) return undefined;
  const word = argv[at] ?? "";
  const isApart = word === "-O" || word === "--Format";
  const format = (isApart ? argv[at + 1] : word.replace(/^(?:--Format=|-O)/, "")) ?? "";
  const columns = format.split(",").map((field): Column => {
    const [name = "", width = ""] = field.split(":");
    return { name: name.trim().toLowerCase(), asked: field, width: width === "" ? DEFAULT_WIDTH : Number(width) };
  });
  if (
    !columns.some((column) => isContainer(column) || isComment(column)) ||
    columns.some(({ width }) => !Number.isInteger(width) || width < 1)
  )
    return undefined;
  const hasSteps = argv.some((other) => /^(?:-s|--steps?(?:=|$)|-[a-zA-Z]*s$)/.test(other));
  const keys = hasSteps ? OF_STEPS : OF_JOBS;
  const askedFor = [
    // Slurm of before 23.02 has no ContainerID; any column of the width will do.
    ...columns.map((column) => (isContainer(column) || isComment(column) ? `${keys[0]?.name}:${column.width}` : column.asked)),
    ...keys.map(({ name, width }) => `${name}:${width}`),
  ].join(",");
  return {
    argv: [...argv.slice(0, at), `--Format=${askedFor}`, ...argv.slice(at + (isApart ? 2 : 1))],
    show: (text) =>
      text
        .split("\n")
        .map((line) => (line === "" ? line : showLine(line, { columns, keys, lookup })))
        .join("\n"),
  };
}

function isContainer({ name }: Column): boolean {
  return name === "container" || name === "containerid";
}
function isComment({ name }: Column): boolean {
  return name === "comment";
}

function showLine(
  line: string,
  { columns, keys, lookup }: { readonly columns: readonly Column[]; readonly keys: readonly KeyColumn[]; readonly lookup: ContainerLookup },
): string {
  const own = columns.reduce((sum, { width }) => sum + width, 0);
  let rest = line.slice(own);
  const [key = "", since = "", comment = ""] = keys.map(({ width }) => {
    const cell = rest.slice(0, width).trim();
    rest = rest.slice(width);
    return cell;
  });
  const isTitle = !/^\d/.test(key);
  const facts = isTitle ? undefined : lookup.find({ key: key.toLowerCase(), comment, since });
  let at = 0;
  let shown = "";
  for (const column of columns) {
    const cell = line.slice(at, at + column.width);
    at += column.width;
    if (!isContainer(column) && !isComment(column)) shown += cell;
    else shown += fit(isTitle ? column.name.toUpperCase() : cellOf(column, { facts, comment }), column.width);
  }
  return shown;
}

function cellOf(column: Column, { facts, comment }: { readonly facts: ContainerFacts | undefined; readonly comment: string }): string {
  if (isComment(column)) return parseRequestComment(comment) === undefined ? comment : "(null)";
  return (column.name === "container" ? facts?.container : facts?.id) ?? "(null)";
}

function fit(text: string, width: number): string {
  return text.slice(0, width).padEnd(width);
}
