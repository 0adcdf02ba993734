/**
 * Container and id of jobs in the output of the site's scontrol and squeue. They are kept in the job's comment
 * (container-request.ts), because only Slurm 21.08 and later have fields for them, and those would make the site's own container
 * support run the job. Here the comment is shown as what it is.
 */
import { parseRequestComment } from "./container-request.ts";

/** `scontrol show job`: the comment's line becomes the one that Slurm has for containers. */
function showInScontrol(text: string): string {
  return text.replace(/\bComment=(berth:\{.*?\})(?= |$)/gm, (whole, comment: string) => {
    const request = parseRequestComment(comment);
    return request === undefined ? whole : `Container=${request.bundle} ContainerID=${request.containerId ?? "(null)"}`;
  });
}

export interface Filter {
  /** For the site's command. */
  readonly argv: readonly string[];
  readonly show: (text: string) => string;
}

/** How a command's output is to be changed; undefined when it says nothing of containers. */
export function filterFor(command: "scontrol" | "squeue", argv: readonly string[]): Filter | undefined {
  if (command === "scontrol") {
    const isJobs = argv.some((word) => /^job/i.test(word)) && argv.some((word) => /^sh/i.test(word));
    return isJobs ? { argv, show: showInScontrol } : undefined;
  }
  const at = argv.findIndex((word) => /^(?:-O|--Format(?:=|$))/.test(word));
  if (at < 0) return undefined;
  const word = argv[at] ?? "";
  const isApart = word === "-O" || word === "--Format";
  const columns = containerColumns((isApart ? argv[at + 1] : word.replace(/^(?:--Format=|-O)/, "")) ?? "");
  if (columns === undefined) return undefined;
  return { argv: [...argv.slice(0, at), `--Format=${columns.format}`, ...argv.slice(at + (isApart ? 2 : 1))], show: columns.show };
}

interface ContainerColumns {
  /** For the site's squeue, with the columns replaced by wide ones. */
  readonly format: string;
  readonly show: (text: string) => string;
}

interface Column {
  readonly name: string;
  readonly width: number;
  readonly asked: string;
}

const DEFAULT_WIDTH = 20;
/** Longer than any path that a comment holds. */
const WIDE = 4500;

/** `squeue -O …Container…`; undefined when no such column is asked for, or a width is not one we can count with. */
function containerColumns(format: string): ContainerColumns | undefined {
  const columns = format.split(",").map((field): Column => {
    const [name = "", width = ""] = field.split(":");
    return { name: name.trim().toLowerCase(), asked: field, width: width === "" ? DEFAULT_WIDTH : Number(width) };
  });
  if (!columns.some(isContainer) || columns.some(({ width }) => !(width > 0))) return undefined;
  return {
    format: columns.map((column) => (isContainer(column) ? `Comment:${WIDE}` : column.asked)).join(","),
    show: (text) =>
      text
        .split("\n")
        .map((line) => (line === "" ? line : showLine(line, columns)))
        .join("\n"),
  };
}

function isContainer({ name }: Column): boolean {
  return name === "container" || name === "containerid";
}

function showLine(line: string, columns: readonly Column[]): string {
  let rest = line;
  let shown = "";
  for (const column of columns) {
    const width = isContainer(column) ? WIDE : column.width;
    const cell = rest.slice(0, width);
    rest = rest.slice(width);
    shown += isContainer(column) ? fit(cellText(cell.trim(), column.name), column.width) : cell;
  }
  return shown + rest;
}

function cellText(comment: string, name: string): string {
  if (comment === "COMMENT") return name.toUpperCase();
  const request = parseRequestComment(comment);
  return (name === "container" ? request?.bundle : request?.containerId) ?? "";
}

function fit(text: string, width: number): string {
  return text.slice(0, width).padEnd(width);
}
