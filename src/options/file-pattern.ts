/** Names of output and input files with `%` letters (commands.md §1.4.11). */
import type { StepKey } from "#job/id.ts";

interface PatternJob {
  readonly jobId: number;
  /** The array's id and the task's index; null when the job is no array task. */
  readonly arrayJobId: number | null;
  readonly arrayTask: number | null;
  readonly userName: string;
  readonly jobName: string;
  /** The first node of a batch job, the task's node of a step. */
  readonly nodeName: string;
}

export type FilePatternContext =
  | (PatternJob & { readonly kind: "batch" })
  | (PatternJob & {
      readonly kind: "task";
      readonly stepKey: StepKey;
      /** Relative to the job. */
      readonly nodeIndex: number;
      readonly task: number;
    });

/** What `%a` shows outside an array: Slurm's NO_VAL. */
const NO_ARRAY_TASK = 4_294_967_294;
const MAX_WIDTH = 10;

/**
 * The file's name. A backslash anywhere turns the letters off and is removed; `\\` is one backslash. Unknown letters
 * stay as they are, and only numbers are padded.
 */
export function expandFilePattern(pattern: string, context: FilePatternContext): string {
  if (pattern.includes("\\")) return pattern.replace(/\\(\\?)/g, "$1");
  if (!pattern.includes("%")) return pattern;
  return pattern.replace(/%(\d*)([A-Za-z%])/g, (raw, width: string, letter: string) => {
    if (letter === "%") return width === "" ? "%" : raw;
    const value = letterValue(letter, context);
    if (value === undefined) return raw;
    return typeof value === "number" ? String(value).padStart(Math.min(Number(width), MAX_WIDTH), "0") : value;
  });
}

function letterValue(letter: string, context: FilePatternContext): string | number | undefined {
  const isTask = context.kind === "task";
  switch (letter) {
    case "A":
      return context.arrayJobId ?? context.jobId;
    case "a":
      return context.arrayTask ?? NO_ARRAY_TASK;
    case "j":
      return context.jobId;
    case "J":
      return isTask ? `${context.jobId}.${context.stepKey}` : context.jobId;
    case "s":
      return isTask ? context.stepKey : "batch";
    case "N":
      return context.nodeName;
    case "n":
      return isTask ? context.nodeIndex : 0;
    case "t":
      return isTask ? context.task : 0;
    case "u":
      return context.userName;
    case "x":
      return context.jobName;
    default:
      return undefined;
  }
}

/** Whether tasks of one step have different files, so that the nodes open them instead of srun (commands.md §2.5). */
export function needsPerTask(pattern: string): boolean {
  return !pattern.includes("\\") && /%\d*[tnN]/.test(pattern.replaceAll("%%", ""));
}
