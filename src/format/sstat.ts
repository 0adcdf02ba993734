/** sstat's table of live steps (commands.md §10). */
import type { JobRecord, StepRecord, StepUse } from "#job/record.ts";
import { shownStepId } from "./array-ids.ts";
import { nodesText } from "./nodes-text.ts";
import { helpFormat, parseReportFormat, reportHeader, reportLine, type ReportField, type ReportStyle } from "./report.ts";
import { SACCT_FIELDS, type SacctContext } from "./sacct-fields.ts";
import { EXACT, type SizeStyle } from "./sizes.ts";
import { useColumns } from "./step-use.ts";
import { timeFormatter } from "./times.ts";

/** A step with the pids of its processes, where they are known. */
export interface LiveStep {
  readonly step: StepRecord;
  readonly job: JobRecord | undefined;
  readonly pids: readonly number[];
  /** What its tasks use now; null where nobody can tell. */
  readonly use?: StepUse | null;
}

export interface SstatView extends ReportStyle {
  readonly steps: readonly LiveStep[];
  readonly format: string | null;
  readonly nowMs: number;
  readonly timeFormat: string | null;
  readonly sizes?: SizeStyle;
}

const DEFAULT_SSTAT_FORMAT =
  "jobid,maxvmsize,maxvmsizenode,maxvmsizetask,avevmsize,maxrss,maxrssnode,maxrsstask,averss," +
  "maxpages,maxpagesnode,maxpagestask,avepages,mincpu,mincpunode,mincputask,avecpu,ntasks,avecpufreq,reqcpufreqmin," +
  "reqcpufreqmax,reqcpufreqgov,consumedenergy,maxdiskread,maxdiskreadnode,maxdiskreadtask,avediskread,maxdiskwrite," +
  "maxdiskwritenode,maxdiskwritetask,avediskwrite,tresusageinave,tresusageinmax,tresusageinmaxnode,tresusageinmaxtask," +
  "tresusageinmin,tresusageinminnode,tresusageinmintask,tresusageintot,tresusageoutave,tresusageoutmax," +
  "tresusageoutmaxnode,tresusageoutmaxtask,tresusageoutmin,tresusageoutminnode,tresusageoutmintask,tresusageouttot";
/** `-i` */
export const SSTAT_PIDS_FORMAT = "jobid,nodelist,pids";

type SstatValue = (live: LiveStep, context: SacctContext) => string;

export const SSTAT_FIELD_NAMES: readonly string[] = (
  "AveCPU AveCPUFreq AveDiskRead AveDiskWrite AvePages AveRSS AveVMSize ConsumedEnergy ConsumedEnergyRaw JobID " +
  "MaxDiskRead MaxDiskReadNode MaxDiskReadTask MaxDiskWrite MaxDiskWriteNode MaxDiskWriteTask MaxPages MaxPagesNode MaxPagesTask " +
  "MaxRSS MaxRSSNode MaxRSSTask MaxVMSize MaxVMSizeNode MaxVMSizeTask MinCPU MinCPUNode MinCPUTask Nodelist NTasks Pids " +
  "ReqCPUFreq ReqCPUFreqMin ReqCPUFreqMax ReqCPUFreqGov TRESUsageInAve TRESUsageInMax TRESUsageInMaxNode TRESUsageInMaxTask " +
  "TRESUsageInMin TRESUsageInMinNode TRESUsageInMinTask TRESUsageInTot TRESUsageOutAve TRESUsageOutMax TRESUsageOutMaxNode " +
  "TRESUsageOutMaxTask TRESUsageOutMin TRESUsageOutMinNode TRESUsageOutMinTask TRESUsageOutTot"
).split(" ");

const OWN: Readonly<Record<string, { readonly width: number; readonly value: SstatValue }>> = {
  JobID: { width: -12, value: ({ step, job }) => shownStepId(step, job) },
  Nodelist: { width: 20, value: ({ step }) => nodesText(step.nodes) },
  Pids: { width: 20, value: ({ pids }) => pids.join(",") },
};

/** Where sstat's columns are narrower than sacct's. */
const OTHER_WIDTHS: Readonly<Record<string, number>> = { AveDiskRead: 12, AveDiskWrite: 12 };

/** Worked out once for each row, not for each column. */
const COLUMNS = new WeakMap<StepUse, Record<string, string>>();
function measured({ use }: LiveStep, { sizes }: SacctContext): Record<string, string> {
  if (use == null) return {};
  const known = COLUMNS.get(use) ?? useColumns(use, sizes);
  COLUMNS.set(use, known);
  return known;
}

/** sacct's widths and texts for a step; what needs the job is in OWN. */
function sstatFields(): ReportField<SstatValue>[] {
  return SSTAT_FIELD_NAMES.map((name) => {
    const own = OWN[name];
    if (own !== undefined) return { name, ...own };
    const field = SACCT_FIELDS.find((candidate) => candidate.name === name);
    const accounted = (live: LiveStep) => ({ ...(live.job as JobRecord), steps: [live.step] });
    return {
      name,
      width: OTHER_WIDTHS[name] ?? field?.width ?? 10,
      value: (live, context) => measured(live, context)[name] ?? field?.value.step?.(live.step, context, accounted(live)) ?? "",
    };
  });
}

/** @throws BerthError INVALID_FIELD for an unknown field */
export function renderSstat(view: SstatView): string[] {
  const columns = parseReportFormat(view.format ?? DEFAULT_SSTAT_FORMAT, { fields: sstatFields(), all: null });
  const context: SacctContext = {
    nowMs: view.nowMs,
    formatTime: timeFormatter(view.timeFormat, view.nowMs),
    clusterName: "",
    sizes: view.sizes ?? EXACT,
  };
  return [...reportHeader(columns, view), ...view.steps.map((live) => reportLine(columns, view, (value) => value(live, context)))];
}

export function sstatHelpFormat(): string[] {
  return helpFormat(SSTAT_FIELD_NAMES);
}
