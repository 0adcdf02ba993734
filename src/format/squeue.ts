/**
 * squeue's tables: records in, lines out (commands.md §6). The rows are filtered by the caller; here they are sorted,
 * array records may be split into tasks, and a format compiled once makes each line.
 */
import type { JobRecord, StepRecord } from "#job/record.ts";
import { DEFAULT_BITSTR_LENGTH, expandIndices } from "./array-ids.ts";
import {
  fit,
  isShownWhole,
  ownEntry,
  parseFields,
  parseLetters,
  renderLine,
  resolveParts,
  type Column,
  type FormatPart,
} from "./columns.ts";
import { JOB_FIELDS, JOB_LETTERS, type JobField, type SqueueContext } from "./squeue-job-fields.ts";
import { findUnsortable, parseSort, sortJobs, sortSteps } from "./squeue-sort.ts";
import { STEP_FIELDS, STEP_LETTERS, type StepField } from "./squeue-step-fields.ts";
import { dateLine, timeFormatter } from "./times.ts";

export type SqueueFormat = { readonly kind: "o" | "O"; readonly text: string } | { readonly kind: "default" | "long" | "start" };

export interface SqueueView {
  readonly view: "jobs" | "steps";
  readonly jobs: readonly JobRecord[];
  /** For view "steps"; `jobs` then only gives array ids and GRES of the steps' jobs. */
  readonly steps: readonly StepRecord[];
  readonly format: SqueueFormat;
  /** `-S`; null is the default order. */
  readonly sort: string | null;
  readonly noHeader: boolean;
  /** `-r`: one line for each pending array task. */
  readonly expandArrays: boolean;
  /** `--array-unique`; the same lines as expandArrays here. */
  readonly arrayUnique: boolean;
  readonly nowMs: number;
  /** SLURM_TIME_FORMAT. */
  readonly timeFormat: string | null;
  readonly clusterName?: string;
  /** SLURM_BITSTR_LEN. */
  readonly bitstrLength?: number | null;
  readonly noConvert?: boolean;
  /** `-i`: the date line stands before each block; -l has it anyway. */
  readonly hasDateLine?: boolean;
  /** `-M NAME`: the line `CLUSTER: NAME` before the header. */
  readonly clusterLine?: string | null;
}

export interface Rendered {
  readonly lines: string[];
  /** Whole lines for stderr. */
  readonly errors: string[];
  /** It could not be shown so: exit status 1. */
  readonly isFailed: boolean;
}

const DEFAULT_FORMAT = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R";
const LONG_FORMAT = "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R";
const START_FORMAT = "%.18i %.9P %.8j %.8u %.2t %.19S %.6D %20Y %R";
const STEP_FORMAT = "%.15i %.8j %.9P %.8u %.9M %N";

export function renderSqueue(request: SqueueView): Rendered {
  const context: SqueueContext = {
    nowMs: request.nowMs,
    formatTime: timeFormatter(request.timeFormat, request.nowMs),
    clusterName: request.clusterName ?? "",
    bitstrLength: request.bitstrLength ?? DEFAULT_BITSTR_LENGTH,
    noConvert: request.noConvert ?? false,
  };
  const errors: string[] = [];
  const lines: string[] = [];
  if (!request.noHeader) {
    if (request.format.kind === "long" || request.hasDateLine === true) lines.push(dateLine(request.nowMs));
    if (request.clusterLine !== undefined && request.clusterLine !== null) lines.push(`CLUSTER: ${request.clusterLine}`);
  }
  const what = request.view === "jobs" ? "job" : "job step";
  const onUnknown = (name: string) => errors.push(`squeue: error: Invalid ${what} format specification: ${name}`);
  if (request.view === "steps") {
    renderSteps(request, context, lines, onUnknown);
    return { lines, errors, isFailed: false };
  }
  const unsortable = renderJobs(request, context, lines, onUnknown);
  if (unsortable !== undefined) errors.push(`squeue: error: Invalid sort specification: ${unsortable}`);
  return { lines, errors, isFailed: unsortable !== undefined };
}

type Report = (name: string) => unknown;

/** @returns a letter that jobs cannot be sorted by: there are no rows then */
function renderJobs(request: SqueueView, context: SqueueContext, lines: string[], onUnknown: Report): string | undefined {
  const columns = compile(
    request.format,
    JOB_FIELDS,
    JOB_LETTERS,
    { default: DEFAULT_FORMAT, long: LONG_FORMAT, start: START_FORMAT },
    onUnknown,
  );
  if (!request.noHeader) lines.push(titleLine(columns));
  const line = jobLine(columns, context);
  const sort = parseSort(request.sort ?? (request.format.kind === "start" ? "S" : "P,t,-p"));
  const unsortable = findUnsortable(sort);
  if (unsortable !== undefined) return unsortable;
  const expand = request.expandArrays || request.arrayUnique;
  for (const job of sortJobs(request.jobs, sort, context)) {
    const pending = job.array?.taskId === null ? job.array.pendingIndices : null;
    if (!expand || pending === null) lines.push(line(job, null));
    else for (const task of expandIndices(pending)) lines.push(line(job, task));
  }
  return undefined;
}

function titleLine<F extends JobField | StepField>(columns: readonly Column<F>[]): string {
  return renderLine(
    columns,
    (field) => field.header,
    (field, text) => isShownWhole(field.whole, text, true),
  );
}

/** The hot loop: no closures and no objects for each cell. */
function jobLine(columns: readonly Column<JobField>[], context: SqueueContext): (job: JobRecord, task: number | null) => string {
  return (job, task) => {
    let text = "";
    for (const column of columns) {
      if (column.kind === "text") text += column.text;
      else {
        const cell = column.field.cell(job, context, task);
        text +=
          (column.isRight && cell.length > column.width && isShownWhole(column.field.whole, cell, false)
            ? cell
            : fit(cell, column.width, column.isRight)) + column.suffix;
      }
    }
    return text;
  };
}

function renderSteps(request: SqueueView, context: SqueueContext, lines: string[], onUnknown: Report): void {
  const columns = compile(
    request.format,
    STEP_FIELDS,
    STEP_LETTERS,
    { default: STEP_FORMAT, long: STEP_FORMAT, start: STEP_FORMAT },
    onUnknown,
  );
  const jobs = new Map(request.jobs.map((job) => [job.jobId, job]));
  if (!request.noHeader)
    lines.push(
      titleLine(
        columns.map((column) => (column.kind === "field" && column.field.isTitleLeft === true ? { ...column, isRight: false } : column)),
      ),
    );
  for (const step of sortSteps(request.steps, parseSort(request.sort ?? "P,i"), context)) {
    lines.push(
      renderLine(
        columns,
        (field) => field.cell(step, context, jobs.get(step.jobId)),
        (field, text) => isShownWhole(field.whole, text, false),
      ),
    );
  }
}

function compile<F>(
  format: SqueueFormat,
  fields: Readonly<Record<string, F>>,
  letters: Readonly<Record<string, string>>,
  canned: Readonly<Record<"default" | "long" | "start", string>>,
  onUnknown: Report,
): Column<F>[] {
  if (format.kind === "O") {
    return resolveParts(parseFields(format.text), (name) => ownEntry(fields, name.toLowerCase()), onUnknown, false);
  }
  const text = format.kind === "o" ? format.text : canned[format.kind];
  const parts = text === "%all" ? allParts(letters) : parseLetters(text);
  return resolveParts(parts, (letter) => fields[letters[letter] ?? ""], onUnknown, true);
}

/** `%all`: the lower-case letters, then the others, separated by `|`. */
function allParts(letters: Readonly<Record<string, string>>): FormatPart[] {
  const isLower = (letter: string) => letter === letter.toLowerCase();
  const sorted = Object.keys(letters).sort((a, b) => Number(isLower(b)) - Number(isLower(a)) || (a < b ? -1 : 1));
  return sorted.map((name, index) => ({
    kind: "field",
    name,
    width: 0,
    isRight: false,
    suffix: index === sorted.length - 1 ? "" : "|",
  }));
}
