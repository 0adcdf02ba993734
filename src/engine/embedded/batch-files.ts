/** The files of a batch job's script. */
import { resolve } from "node:path";
import type { JobRecord } from "#job/record.ts";
import type { JobRequest } from "#job/request.ts";
import { expandFilePattern } from "#options/file-pattern.ts";

/** Their paths as the show commands print them; null for a job without a script. */
export function batchFiles(request: JobRequest, job: JobRecord): Pick<JobRecord, "stdin" | "stdout" | "stderr"> {
  if (request.batch === null) return { stdin: null, stdout: null, stderr: null };
  const expand = (pattern: string) =>
    resolve(
      job.workDir,
      expandFilePattern(pattern, {
        kind: "batch",
        jobId: job.jobId,
        arrayJobId: job.array?.jobId ?? null,
        arrayTask: job.array?.taskId ?? null,
        userName: job.userName,
        jobName: job.name,
        nodeName: job.batchHost ?? "%N",
      }),
    );
  const output = request.batch.output ?? defaultOutput(job);
  return {
    stdin: expand(request.batch.input ?? "/dev/null"),
    stdout: expand(output),
    stderr: expand(request.batch.error ?? output),
  };
}

/** The pattern of standard output when the job names none. */
export function defaultOutput(job: JobRecord): string {
  return job.array === null ? "slurm-%j.out" : "slurm-%A_%a.out";
}
