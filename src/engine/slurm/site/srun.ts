/** `srun` on the site's Slurm: the user's words, with the command wrapped when a container is asked for. */
import { basename } from "node:path";
import { BerthError } from "#job/errors.ts";
import { SRUN_ROWS } from "#options/srun.ts";
import { SALLOC_ROWS } from "#options/salloc.ts";
import { SRUN_OPTIONS } from "#options/srun-option-table.ts";
import { takeOptions, type KeptOption, type TakenOptions } from "#options/take-options.ts";
import { selfOnDisk } from "#platform/self.ts";
import { getSiteProgram } from "../programs.ts";
import { containerRequest, isNative, OWN_ROWS, requestComment, siteEnvironment, TAKEN, taskCommand } from "./container-request.ts";
import type { SiteCall } from "./site-call.ts";
import { helpGuess } from "./site-help.ts";
import { chooseTransfer, type Transfer } from "./transfer.ts";

type Env = Readonly<Record<string, string>>;

export interface SrunCall extends SiteCall {
  /** It is a step in a container of ours, run by the site's srun itself. */
  readonly hasContainer?: boolean;
}

/** @throws BerthError SLURM_MISSING, NOT_SUPPORTED, BUNDLE_MISSING */
export function siteSrun(argv: readonly string[], env: Env): SrunCall {
  const program = getSiteProgram("srun");
  const words = takeOptions([...SRUN_ROWS, ...OWN_ROWS], argv, { take: TAKEN, guess: helpGuess(program) });
  const { kept, taken, given, rest } = words;
  if (isNative(taken, env)) return { program, argv: ["srun", ...argv.filter((word) => word !== "--native")], env };
  const asked = given.has("help") || given.has("version") || given.has("usage") ? undefined : containerRequest(taken, "SRUN", env);
  if (asked === undefined || rest.length === 0) return { program, argv: ["srun", ...argv], env };
  refuseUnwrappable(given, rest);
  const isInJob = given.has("jobid") || env["SLURM_JOB_ID"] !== undefined;
  const request = { ...asked, isJobs: !isInJob };
  const isNameless = !given.has("job-name") && (isInJob || env["SLURM_JOB_NAME"] === undefined);
  const name = isNameless ? [`--job-name=${basename(rest[0] ?? "")}`] : [];
  const comment = given.has("comment") || isInJob ? [] : [`--comment=${requestComment(request)}`];
  const siteEnv = siteEnvironment(env, request);
  const transfer = given.has("test-only") ? "none" : chooseTransfer(request.bundle, taken, env);
  if (transfer !== "none") {
    return staged(words, { bundle: request.bundle, transfer, name, comment, env: siteEnv, isInJob: env["SLURM_JOB_ID"] !== undefined });
  }
  return { program, argv: ["srun", ...kept, ...name, ...comment, ...taskCommand(request, rest)], env: siteEnv, hasContainer: true };
}

/**
 * With something to send first: `berth stage` in the allocation, which then becomes the srun. Without an allocation salloc
 * makes it, with the options that are the job's; those that only a step has stay with srun.
 */
function staged(
  { options, kept, rest }: TakenOptions,
  {
    bundle,
    transfer,
    name,
    comment,
    env,
    isInJob,
  }: {
    readonly bundle: string;
    readonly transfer: Transfer;
    readonly name: readonly string[];
    readonly comment: readonly string[];
    readonly env: Env;
    readonly isInJob: boolean;
  },
): SiteCall {
  const stage = (words: readonly string[]) =>
    selfOnDisk(
      "stage",
      "--bundle",
      bundle,
      "--transfer",
      transfer,
      "--of",
      isInJob ? "step" : "job",
      "--words",
      String(words.length),
      ...words,
      ...rest,
    );
  if (isInJob) {
    const [program, ...words] = stage([...kept, ...name]);
    return { program, argv: [program, ...words], env };
  }
  const isJobs = (option: KeptOption) => option.names.length > 0 && option.names.every((option) => JOB_NAMES.has(option));
  const jobs = options.filter(isJobs).flatMap(({ words }) => words);
  const steps = options.filter((option) => !isJobs(option)).flatMap(({ words }) => words);
  return {
    program: getSiteProgram("salloc"),
    argv: ["salloc", "--quiet", ...jobs, ...name, ...comment, ...stage([...steps, ...name])],
    env,
  };
}

const STEP_NAMES: ReadonlySet<string> = new Set(SRUN_OPTIONS.map(({ name }) => name));
const JOB_NAMES: ReadonlySet<string> = new Set(SALLOC_ROWS.map(({ name }) => name).filter((name) => !STEP_NAMES.has(name)));

/** What would run something else than the container's program, or run it outside. */
function refuseUnwrappable(given: ReadonlySet<string>, rest: readonly string[]): void {
  const what = given.has("multi-prog")
    ? "--multi-prog"
    : given.has("bcast")
      ? "--bcast"
      : rest.includes(":")
        ? "more than one component (:)"
        : undefined;
  if (what === undefined) return;
  throw new BerthError("NOT_SUPPORTED", `${what} cannot be combined with --container on this engine`, {
    hint: "run one srun for each program",
  });
}
