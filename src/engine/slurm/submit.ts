/** Batch jobs through the site's sbatch: container jobs with a script that starts their container on the node. */
import type { JobId } from "#job/id.ts";
import { shellCode } from "#job/outcome.ts";
import type { JobRequest } from "#job/request.ts";
import { expandHostlist } from "#options/hostlist.ts";
import type { Cancellable, Engine } from "../engine.ts";
import { siteError } from "./errors.ts";
import { jobArgv } from "./job-argv.ts";
import { containerOf, requestComment } from "./site/container-request.ts";
import { batchScriptFor } from "./site/script-file.ts";
import type { SiteCommands } from "./site-commands.ts";

/** Hands the job to the site's sbatch. @throws BerthError in the site's words */
export async function submitBatch(site: SiteCommands, request: JobRequest, options: Cancellable): Promise<{ readonly jobId: JobId }> {
  const { status, stdout, stderr } = await sbatch(site, request, ["--parsable"], options);
  const jobId = Number(/^(\d+)/.exec(stdout)?.[1]);
  if (shellCode(status) !== 0 || !(jobId > 0)) throw siteError("sbatch", `${stdout}\n${stderr}`);
  return { jobId: jobId as JobId };
}

/** When and where it would start (sbatch --test-only). */
export async function tryBatch(site: SiteCommands, request: JobRequest, options: Cancellable): ReturnType<Engine["tryJob"]> {
  const { stdout, stderr } = await sbatch(site, request, ["--test-only"], options);
  const found = /Job (\d+) to start at (\S+)(?: a)? using (\d+) processors on nodes (\S+) in partition (\S+)/.exec(stdout + stderr);
  if (found === null) throw siteError("sbatch", `${stdout}\n${stderr}`);
  return {
    jobId: Number(found[1]) as JobId,
    startAt: new Date(found[2] ?? "").getTime() as never,
    cpus: Number(found[3]),
    nodes: expandHostlist(found[4] ?? ""),
    partition: found[5] ?? "",
  };
}

async function sbatch(site: SiteCommands, request: JobRequest, first: readonly string[], { signal }: Cancellable) {
  const { batch, submit, options } = request;
  if (batch === null) throw new Error("no batch job");
  const container = containerOf(options);
  using script = batchScriptFor(batch.script, options.name ?? "sbatch", container);
  const add = (name: string, value: string | null) => (value === null ? [] : [`--${name}=${value}`]);
  const comment = container === undefined || options.comment !== null ? [] : [`--comment=${requestComment(container)}`];
  const env = container === undefined ? submit.environment : { ...submit.environment, SLURM_CONTAINER: container.bundle };
  return await site.call(
    "sbatch",
    [
      ...first,
      ...jobArgv(options, "batch"),
      ...comment,
      `--chdir=${submit.workDir}`,
      ...add("input", batch.input),
      ...add("output", batch.output),
      ...add("error", batch.error),
      ...add("open-mode", batch.openMode),
      ...add("array", batch.array),
      script.path,
      ...batch.args,
    ],
    { signal, env },
  );
}
