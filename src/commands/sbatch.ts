/** `sbatch`: submits a script (commands.md §3). */
import type { Engine } from "#engine/engine.ts";
import { BerthError } from "#job/errors.ts";
import type { JobRecord } from "#job/record.ts";
import type { BatchRequest, JobRequest } from "#job/request.ts";
import { absolutePath } from "#options/path.ts";
import { ACCESS, canAccess, inDirectory, readTextFile } from "#platform/system.ts";
import { checkBatchScript, parseSbatchDirectives, wrapScript } from "#options/batch-script.ts";
import { mergeSbatch, parseSbatch, type SbatchLine, type SbatchRequest } from "#options/sbatch.ts";
import { environment, parseContext, submitContext } from "./context.ts";
import { openEngine } from "./engine.ts";
import { batchEnvironment } from "./export-environment.ts";
import { informationAction } from "./information.ts";
import { containerVariables } from "./container-variables.ts";
import { optionVariables } from "./option-variables.ts";
import { complain, errorExit, printError, printLines } from "./terminal.ts";

export async function sbatch(argv: readonly string[]): Promise<number> {
  const line = parseSbatch(argv, process.env);
  const informed = await informationAction("sbatch", line.action);
  if (informed !== undefined) return informed;
  const { script, path } = await readScript(line);
  checkBatchScript(script, process.env);
  const merged = mergeSbatch({ line, directives: parseSbatchDirectives(script), env: process.env, context: parseContext() });
  const informedByDirective = await informationAction("sbatch", merged.action);
  if (informedByDirective !== undefined) return informedByDirective;
  complain(...merged.warnings);
  const request = await jobRequest(merged, { argv, script, path });
  await using engine = await openEngine();
  return merged.testOnly ? await tryJob(engine, request) : await submit(engine, merged, request);
}

async function jobRequest(
  merged: SbatchRequest,
  facts: { readonly argv: readonly string[]; readonly script: string; readonly path: string | null },
): Promise<JobRequest> {
  const batch: BatchRequest = { ...merged.batch, script: facts.script, scriptPath: facts.path };
  const own = merged.exportFile === null ? environment() : await readExportFile(merged.exportFile);
  const rule = merged.batch.export;
  const needsLogin = rule.kind === "list" || rule.kind === "none" || merged.getUserEnv !== null;
  const isTold = needsLogin || rule.kind === "nil" || (rule.kind === "all" && Object.keys(rule.set).length > 0);
  const options = optionVariables({ job: merged.job, batch, hasLogin: isTold });
  const exported = batchEnvironment(
    rule,
    { ...own, ...containerVariables(merged), ...options },
    needsLogin ? await (await import("./login-environment.ts")).loginEnvironment() : {},
  );
  const submitted = submitContext({ command: "sbatch", argv: facts.argv, chdir: merged.chdir, environment: exported });
  return { kind: "batch", options: merged.job, submit: submitted, batch, command: null };
}

/** Reads the script from --wrap, a file or standard input. `path` is for the records. */
async function readScript(line: SbatchLine): Promise<{ readonly script: string; readonly path: string | null }> {
  if (line.wrap !== null) return { script: wrapScript(line.wrap), path: null };
  if (line.script === null) return { script: await Bun.stdin.text(), path: null };
  const path = findScript(line.script);
  try {
    return { script: readTextFile(path), path };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EISDIR") return { script: "", path };
    throw new BerthError("SCRIPT", `Unable to open file ${line.script}`);
  }
}

/** A name without `/` is looked for here, then along PATH, where it must be executable. */
function findScript(name: string): string {
  const here = absolutePath(process.cwd(), name);
  if (name.includes("/") || canAccess(here, ACCESS.read)) return here;
  for (const dir of (process.env["PATH"] ?? "").split(":")) {
    const path = inDirectory(dir, name);
    if (dir !== "" && canAccess(path, ACCESS.execute)) return path;
  }
  return here;
}

/** NAME=value entries that end with a NUL, from a file or an open descriptor (--export-file). */
async function readExportFile(file: string): Promise<Record<string, string>> {
  const { fstatSync, readFileSync } = await import("node:fs");
  let text: string;
  try {
    text = /^\d+$/.test(file) && fstatSync(Number(file)) !== undefined ? readFileSync(Number(file), "utf8") : readFileSync(file, "utf8");
  } catch {
    throw new BerthError("EXPORT_FILE", `Unable to read the environment from ${file}`, {
      hint: "--export-file wants a file of NAME=value entries that end with NUL",
    });
  }
  const variables: Record<string, string> = {};
  for (const entry of text.split("\0")) {
    const equals = entry.indexOf("=");
    if (equals > 0) variables[entry.slice(0, equals)] = entry.slice(equals + 1);
  }
  return variables;
}

async function tryJob(engine: Engine, request: JobRequest): Promise<number> {
  try {
    const found = await engine.tryJob(request, { signal: new AbortController().signal });
    const { testOnlyLine } = await import("./test-only.ts");
    complain(testOnlyLine("sbatch", found));
    return 0;
  } catch (error) {
    if (!(error instanceof BerthError)) throw error;
    complain(
      ...error.before.map((text) => `sbatch: ${text}`),
      `allocation failure: ${error.message}`,
      ...(error.hint === undefined ? [] : [`sbatch: ${error.hint}`]),
    );
    return errorExit();
  }
}

async function submit(engine: Engine, merged: SbatchRequest, request: JobRequest): Promise<number> {
  const { signal } = new AbortController();
  let jobId: number;
  try {
    ({ jobId } = await engine.submit(request, { signal }));
  } catch (error) {
    return printError("sbatch", error, { failed: "Batch job submission failed: " });
  }
  const cluster = merged.clusters === null ? null : (await engine.info({ signal })).clusterName;
  if (merged.parsable) printLines([cluster === null ? String(jobId) : `${jobId};${cluster}`]);
  else if (!merged.quiet) printLines([`Submitted batch job ${jobId}${cluster === null ? "" : ` on cluster ${cluster}`}`]);
  return merged.wait ? waitExit(await engine.waitForEnd(jobId, { signal })) : 0;
}

/** --wait: the job's exit code, the highest of an array's; 1 for a job that a signal or a cancel ended (commands.md §3.9). */
function waitExit(jobs: readonly JobRecord[]): number {
  return Math.max(
    0,
    ...jobs.map(({ state, exit }) => {
      if (exit.signal !== 0) return 1;
      return state === "COMPLETED" || state === "FAILED" ? exit.code : 1;
    }),
  );
}
