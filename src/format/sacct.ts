/** sacct's table: accounting rows in, lines out (commands.md §9). The rows are filtered by the caller. */
import type { AccountedJob } from "#job/record.ts";
import { sortAccounted, sortAccountedSteps } from "./accounting-order.ts";
import { helpFormat, parseReportFormat, reportHeader, reportLine, type ReportStyle } from "./report.ts";
import { LATER_SACCT_FIELDS, SACCT_FIELDS, type SacctContext } from "./sacct-fields.ts";
import { EXACT, type SizeStyle } from "./sizes.ts";
import { timeFormatter } from "./times.ts";

export interface SacctView extends ReportStyle {
  readonly jobs: readonly AccountedJob[];
  /** `-o`, SACCT_FORMAT or one of the constants below; null is the default list. */
  readonly format: string | null;
  /** `-X` */
  readonly allocationsOnly: boolean;
  /** Jobs without a line of their own, because only steps of them were asked for (`-j 12.0`). */
  readonly stepsOnly?: ReadonlySet<number>;
  readonly nowMs: number;
  readonly timeFormat: string | null;
  readonly clusterName: string;
  /** `--units`, `--noconvert`. */
  readonly sizes?: SizeStyle;
}

const DEFAULT_SACCT_FORMAT = "jobid,jobname,partition,account,alloccpus,state,exitcode";
export const BRIEF_SACCT_FORMAT = "jobid,state,exitcode";
export const LONG_SACCT_FORMAT =
  "jobid,jobidraw,jobname,partition,maxvmsize,maxvmsizenode,maxvmsizetask,avevmsize,maxrss," +
  "maxrssnode,maxrsstask,averss,maxpages,maxpagesnode,maxpagestask,avepages,mincpu,mincpunode,mincputask,avecpu,ntasks," +
  "alloccpus,elapsed,state,exitcode,avecpufreq,reqcpufreqmin,reqcpufreqmax,reqcpufreqgov,reqmem,consumedenergy," +
  "maxdiskread,maxdiskreadnode,maxdiskreadtask,avediskread,maxdiskwrite,maxdiskwritenode,maxdiskwritetask,avediskwrite," +
  "reqtres,alloctres,tresusageinave,tresusageinmax,tresusageinmaxnode,tresusageinmaxtask,tresusageinmin," +
  "tresusageinminnode,tresusageinmintask,tresusageintot,tresusageoutmax,tresusageoutmaxnode,tresusageoutmaxtask," +
  "tresusageoutave,tresusageouttot";

/** @throws BerthError INVALID_FIELD for an unknown field, before any line is made */
export function renderSacct(view: SacctView): string[] {
  const columns = parseReportFormat(view.format ?? DEFAULT_SACCT_FORMAT, {
    fields: [...SACCT_FIELDS, ...LATER_SACCT_FIELDS],
    all: SACCT_FIELDS,
  });
  const context: SacctContext = {
    nowMs: view.nowMs,
    formatTime: timeFormatter(view.timeFormat, view.nowMs),
    clusterName: view.clusterName,
    sizes: view.sizes ?? EXACT,
  };
  const lines = reportHeader(columns, view);
  for (const job of sortAccounted(view.jobs)) {
    if (view.stepsOnly?.has(job.jobId) !== true) lines.push(reportLine(columns, view, (value) => value.job?.(job, context) ?? ""));
    if (view.allocationsOnly) continue;
    for (const step of sortAccountedSteps(job.steps)) {
      lines.push(reportLine(columns, view, (value) => value.step?.(step, context, job) ?? ""));
    }
  }
  return lines;
}

/** `sacct -e` */
export function sacctHelpFormat(): string[] {
  return helpFormat(SACCT_FIELDS.map((field) => field.name));
}
