// A program that makes a step of its job its own, lets go of the controller, makes a file, and ends when that has gone, without ever having listened: an
// anchor whose create was killed at that moment.
import { existsSync, writeFileSync } from "node:fs";
import { ControllerCalls } from "#engine/embedded/controller-calls.ts";
import type { JobId } from "#job/id.ts";

const cwd = process.cwd();
const submit = { submitDir: cwd, workDir: cwd, host: "localhost", sid: 0, submitLine: "", umask: 0o22, rlimits: {}, environment: {} };
const jobId = Number(process.env["SLURM_JOB_ID"]) as JobId;
{
  using calls = new ControllerCalls();
  const request = { jobId, name: "silent", submit, container: cwd, containerId: "silent", annotations: {} };
  await calls.call("createOwnStep", { request }, { signal: new AbortController().signal });
}
const [file = ""] = process.argv.slice(2);
writeFileSync(file, "");
for (const deadline = performance.now() + 60_000; existsSync(file) && performance.now() < deadline; ) await Bun.sleep(20);
