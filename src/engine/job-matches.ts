/** Whether a job passes a filter. Pure. */
import type { JobRecord } from "#job/record.ts";
import { shownState } from "#job/state.ts";
import type { JobFilter } from "./engine.ts";

export function matches(job: JobRecord, { jobIds, userIds, states, names, partitions }: JobFilter): boolean {
  return (
    (jobIds === null || jobIds.includes(job.jobId) || (job.array !== null && jobIds.includes(job.array.jobId))) &&
    (userIds === null || userIds.includes(job.userId)) &&
    (states === null || states.some((state) => state === job.state || state === shownState(job))) &&
    (names === null || names.includes(job.name)) &&
    (partitions === null || partitions.some((name) => job.partition.split(",").includes(name)))
  );
}
