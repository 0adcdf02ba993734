/** `srun` on the site's Slurm: the user's words, with the command wrapped when a container is asked for. */
import { basename } from "node:path";
import { BerthError } from "#job/errors.ts";
import { SRUN_ROWS } from "#options/srun.ts";
import { takeOptions } from "#options/take-options.ts";
import { getSiteProgram } from "../programs.ts";
import { containerRequest, isNative, OWN_ROWS, requestComment, siteEnvironment, TAKEN, taskCommand } from "./container-request.ts";
import type { SiteCall } from "./site-call.ts";
import { helpGuess } from "./site-help.ts";

/** @throws BerthError SLURM_MISSING, NOT_SUPPORTED, BUNDLE_MISSING */
export function siteSrun(argv: readonly string[], env: Readonly<Record<string, string>>): SiteCall {
  const program = getSiteProgram("srun");
  const { kept, taken, given, rest } = takeOptions([...SRUN_ROWS, ...OWN_ROWS], argv, { take: TAKEN, guess: helpGuess(program) });
  if (isNative(taken, env)) return { program, argv: ["srun", ...argv.filter((word) => word !== "--native")], env };
  const request = given.has("help") || given.has("version") || given.has("usage") ? undefined : containerRequest(taken, "SRUN", env);
  if (request === undefined || rest.length === 0) return { program, argv: ["srun", ...argv], env };
  refuseUnwrappable(given, rest);
  const isInJob = given.has("jobid") || env["SLURM_JOB_ID"] !== undefined;
  const options: string[] = [];
  if (!given.has("job-name") && (isInJob || env["SLURM_JOB_NAME"] === undefined)) options.push(`--job-name=${basename(rest[0] ?? "")}`);
  if (!given.has("comment") && !isInJob) options.push(`--comment=${requestComment(request)}`);
  return { program, argv: ["srun", ...kept, ...options, ...taskCommand(request, rest)], env: siteEnvironment(env, request) };
}

/** What would run something else than the container's program, or run it outside. */
function refuseUnwrappable(given: ReadonlySet<string>, rest: readonly string[]): void {
  const what = given.has("multi-prog") ? "--multi-prog" : given.has("bcast") ? "--bcast" : rest.includes(":") ? "more than one component (:)" : undefined;
  if (what === undefined) return;
  throw new BerthError("NOT_SUPPORTED", `${what} cannot be combined with --container on this engine`, { hint: "run one srun for each program" });
}
