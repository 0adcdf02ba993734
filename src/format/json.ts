/**
 * `--json` of squeue, scontrol, sinfo and sacct in the shape of 26.11 (commands.md §16, §18.3). Each function returns
 * plain data; `jsonText` and `yamlText` of yaml.ts make the output. Loaded only when somebody asks for it.
 */
import type { AccountedJob, JobRecord, NodeRecord, PartitionRecord, StepRecord } from "#job/record.ts";
import { jobJson } from "./json-job.ts";
import { accountedJson, stepJson } from "./json-accounting.ts";
import { nodeJson, partitionJson, sinfoJson } from "./json-nodes.ts";
import { envelope, time, type Json, type JsonMeta } from "./json-values.ts";
export type { Json, JsonMeta } from "./json-values.ts";

export interface JsonRequest {
  readonly meta: JsonMeta;
  readonly nowMs: number;
}

/** squeue --json, scontrol show job --json. */
export function jobsJson(jobs: readonly JobRecord[], { meta, nowMs }: JsonRequest): Json {
  return envelope(
    {
      jobs: jobs.map((job) => jobJson(job, { nowMs, clusterName: meta.clusterName })),
      last_backfill: time(nowMs),
      last_update: time(nowMs),
    },
    meta,
  );
}

/** scontrol show node --json. */
export function nodesJson(nodes: readonly NodeRecord[], { meta, nowMs }: JsonRequest): Json {
  return envelope({ nodes: nodes.map(nodeJson), last_update: time(nowMs) }, meta);
}

/** scontrol show partition --json. */
export function partitionsJson(partitions: readonly PartitionRecord[], { meta, nowMs }: JsonRequest): Json {
  return envelope({ partitions: partitions.map(partitionJson), last_update: time(nowMs) }, meta);
}

/** scontrol show step --json, squeue -s --json. */
export function stepsJson(steps: readonly StepRecord[], { meta, nowMs }: JsonRequest): Json {
  return envelope({ steps: steps.map((step) => stepJson(step, nowMs)), last_update: time(nowMs) }, meta);
}

/** sinfo --json. */
export function sinfoRowsJson(partitions: readonly PartitionRecord[], nodes: readonly NodeRecord[], { meta }: JsonRequest): Json {
  return envelope({ sinfo: sinfoJson(partitions, nodes) }, meta);
}

/** sacct --json. */
export function accountingJson(jobs: readonly AccountedJob[], { meta, nowMs }: JsonRequest): Json {
  return envelope({ jobs: jobs.map((job) => accountedJson(job, { nowMs, clusterName: meta.clusterName })) }, meta);
}

export function jsonText(value: Json): string {
  return JSON.stringify(value, null, 2);
}
