/**
 * Tables of sacctmgr and sshare. The embedded engine keeps no accounts: lists of accounts, users and associations have
 * titles and no lines, which is how tools learn that there are none. What there is: one cluster, one QOS, the TRES.
 */
import { BerthError } from "#job/errors.ts";
import type { Entity } from "#options/accounts.ts";
import { helpFormat, parseReportFormat, reportHeader, reportLine, type ReportField, type ReportStyle } from "./report.ts";

type Row = Readonly<Record<string, string>>;

/** Name in `format=`; title where it is another; width, negative for left aligned. */
const FIELDS: readonly (readonly [name: string, title: string, width: number])[] = [
  ["Account", "Account", 10],
  ["AdminLevel", "Admin", 9],
  ["Cluster", "Cluster", 10],
  ["ControlHost", "ControlHost", 15],
  ["ControlPort", "ControlPort", 12],
  ["Coordinators", "Coord Accounts", 20],
  ["DefaultAccount", "Def Acct", 10],
  ["DefaultQOS", "Def QOS", 9],
  ["DefaultWCKey", "Def WCKey", 10],
  ["Description", "Descr", 20],
  ["Fairshare", "Share", 9],
  ["Flags", "Flags", 20],
  ["GraceTime", "GraceTime", 10],
  ["GrpJobs", "GrpJobs", 7],
  ["GrpTRES", "GrpTRES", 13],
  ["GrpTRESMins", "GrpTRESMins", 13],
  ["GrpTRESRunMins", "GrpTRESRunMin", 13],
  ["GrpSubmitJobs", "GrpSubmit", 9],
  ["GrpWall", "GrpWall", 11],
  ["ID", "ID", 6],
  ["MaxJobs", "MaxJobs", 7],
  ["MaxSubmitJobs", "MaxSubmit", 9],
  ["MaxTRES", "MaxTRES", 13],
  ["MaxTRESMins", "MaxTRESMins", 13],
  ["MaxTRESPerNode", "MaxTRESPerNode", 14],
  ["MaxWall", "MaxWall", 11],
  ["Name", "Name", 10],
  ["Organization", "Org", 20],
  ["ParentName", "Par Name", 10],
  ["Partition", "Partition", 10],
  ["Preempt", "Preempt", 10],
  ["PreemptMode", "PreemptMode", 11],
  ["Priority", "Priority", 10],
  ["QOS", "QOS", 20],
  ["RPC", "RPC", 5],
  ["Share", "Share", 9],
  ["Type", "Type", 15],
  ["UsageFactor", "UsageFactor", 11],
  ["UsageThreshold", "UsageThres", 10],
  ["User", "User", 10],
  ["WCKey", "WCKey", 10],
];

const LIMITS = "Fairshare,Priority,GrpJobs,GrpTRES,GrpSubmitJobs,GrpWall,MaxJobs,MaxTRES,MaxSubmitJobs,MaxWall,QOS,DefaultQOS";
const OTHER = "Name,Cluster,Type,Flags";

const DEFAULT_FORMATS = {
  account: "Account,Description,Organization",
  association: `Cluster,Account,User,Partition,${LIMITS}`,
  cluster: "Cluster,ControlHost,ControlPort,RPC,Share,GrpJobs,GrpTRES,GrpSubmitJobs,MaxJobs,MaxTRES,MaxSubmitJobs,MaxWall,QOS,DefaultQOS",
  configuration: OTHER,
  event: OTHER,
  federation: OTHER,
  problem: "Cluster,Account,User",
  qos: "Name,Priority,GraceTime,Preempt,PreemptMode,Flags,UsageThreshold,UsageFactor,GrpTRES,GrpJobs,GrpWall,MaxTRES,MaxWall",
  resource: OTHER,
  reservation: OTHER,
  runawayjobs: OTHER,
  stats: OTHER,
  transaction: OTHER,
  tres: "Type,Name%15,ID",
  user: "User,DefaultAccount,AdminLevel",
  wckey: "WCKey,Cluster,User",
} as const satisfies Record<Entity, string>;

export interface EntityView extends ReportStyle {
  readonly entity: Entity;
  readonly format: string | null;
  readonly withAssociations: boolean;
  readonly clusterName: string;
}

/** @throws BerthError INVALID_FIELD */
export function renderEntities(view: EntityView): string[] {
  const associations = view.withAssociations && (view.entity === "user" || view.entity === "account");
  const format = view.format ?? DEFAULT_FORMATS[view.entity] + (associations ? `,Cluster,Account,Partition,${LIMITS}` : "");
  return table(
    format,
    FIELDS.map(([name, , width]) => ({ name, width, value: name })),
    rowsOf(view),
    view,
  );
}

function rowsOf({ entity, clusterName }: EntityView): readonly Row[] {
  switch (entity) {
    case "cluster":
      return [{ Cluster: clusterName, ControlPort: "0", RPC: "0", Share: "1", QOS: "normal" }];
    case "qos":
      return [{ Name: "normal", Priority: "0", GraceTime: "00:00:00", PreemptMode: "cluster", UsageFactor: "1.000000" }];
    case "tres":
      return TRES.map(([type, name, id]) => ({ Type: type, Name: name, ID: String(id) }));
    default:
      return [];
  }
}

/** The ids that a Slurm gives them. */
const TRES: readonly (readonly [type: string, name: string, id: number])[] = [
  ["cpu", "", 1],
  ["mem", "", 2],
  ["energy", "", 3],
  ["node", "", 4],
  ["billing", "", 5],
  ["fs", "disk", 6],
  ["vmem", "", 7],
  ["pages", "", 8],
  ["gres", "gpu", 1001],
];

const SHARE_FIELDS: readonly (readonly [name: string, width: number])[] = [
  ["Account", -20],
  ["User", 10],
  ["RawShares", 10],
  ["NormShares", 11],
  ["RawUsage", 11],
  ["NormUsage", 11],
  ["EffectvUsage", 13],
  ["FairShare", 10],
  ["LevelFS", 10],
  ["GrpTRESMins", 30],
  ["GrpTRESRaw", 30],
  ["TRESRunMins", 30],
  ["Cluster", 10],
  ["ID", 6],
  ["Partition", 12],
];
const SHARE_FORMAT = "Account,User,RawShares,NormShares,RawUsage,EffectvUsage,FairShare";
const LONG_SHARE_FORMAT = "Account,User,RawShares,NormShares,RawUsage,NormUsage,EffectvUsage,FairShare,LevelFS,GrpTRESMins,TRESRunMins";

/** @throws BerthError INVALID_FIELD */
export function renderShares(view: ReportStyle & { readonly format: string | null; readonly isLong: boolean }): string[] {
  const fields = SHARE_FIELDS.map(([name, width]) => ({ name, width, value: name }));
  return table(view.format ?? (view.isLong ? LONG_SHARE_FORMAT : SHARE_FORMAT), fields, [], view);
}

/** In Slurm's order, which is the alphabet's. */
export function shareHelpFormat(): string[] {
  return helpFormat(
    SHARE_FIELDS.map(([name]) => name).toSorted((a, b) => a.localeCompare(b, "en")),
    17,
  );
}

function table(format: string, fields: readonly ReportField<string>[], rows: readonly Row[], style: ReportStyle): string[] {
  const titles = new Map(FIELDS.map(([name, title]) => [name, title]));
  const columns = parseReportFormat(format, { fields, all: null }).map((column) => ({
    ...column,
    name: titles.get(column.name) ?? column.name,
  }));
  if (columns.length === 0) throw new BerthError("INVALID_FIELD", "Invalid field requested: no field at all");
  return [...reportHeader(columns, style), ...rows.map((row) => reportLine(columns, style, (name) => row[name] ?? ""))];
}
