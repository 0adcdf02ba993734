/** `srun` on the site's Slurm: the user's words, with the command wrapped when a container is asked for. */
import { basename } from "node:path";
import { BerthError } from "#job/errors.ts";
import { SRUN_ROWS } from "#options/srun.ts";
import { SALLOC_ROWS } from "#options/salloc.ts";
import { SRUN_OPTIONS } from "#options/srun-option-table.ts";
import { takeOptions, type KeptOption, type TakenOptions } from "#options/take-options.ts";
import { selfOnDisk } from "#platform/self.ts";
import { getSiteProgram } from "../programs.ts";
import {
  containerRequest,
  isNative,
  OWN_ROWS,
  requestComment,
  siteEnvironment,
  TAKEN,
  taskCommand,
  withoutContainer,
  type ContainerRequest,
} from "./container-request.ts";
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
  const guess = helpGuess(program);
  const [words, ...more] = splitComponents(argv).map((part) => takeOptions([...SRUN_ROWS, ...OWN_ROWS], part, { take: TAKEN, guess }));
  if (words === undefined) throw new Error("no words are one component");
  if (isNative(words.taken, env)) return { program, argv: ["srun", ...argv.filter((word) => word !== "--native")], env };
  if (more.length > 0) return severalComponents([words, ...more], { program, argv, env });
  const component = wrapComponent(words, env);
  if (component === undefined) return { program, argv: ["srun", ...argv], env };
  const { request, options, command } = component;
  const siteEnv = siteEnvironment(env, request);
  const transfer = words.given.has("test-only") ? "none" : chooseTransfer(request.bundle, words.taken, env);
  if (transfer !== "none") {
    return staged(words, { bundle: request.bundle, transfer, ...options, env: siteEnv, isInJob: env["SLURM_JOB_ID"] !== undefined });
  }
  return { program, argv: ["srun", ...words.kept, ...options.name, ...options.comment, ...command], env: siteEnv, hasContainer: true };
}

/** By words that are a colon alone, as srun does it, in its commands too. */
function splitComponents(argv: readonly string[]): readonly (readonly string[])[] {
  const parts: string[][] = [[]];
  for (const word of argv) {
    if (word === ":") parts.push([]);
    else parts.at(-1)?.push(word);
  }
  return parts;
}

interface Component {
  readonly request: ContainerRequest;
  /** What its job or step is to be known by, as far as the user has not said. */
  readonly options: { readonly name: readonly string[]; readonly comment: readonly string[] };
  readonly command: readonly string[];
}

/** Undefined when no container is asked for, or nothing is to be run. */
function wrapComponent({ taken, given, rest }: TakenOptions, env: Env): Component | undefined {
  const asked = given.has("help") || given.has("version") || given.has("usage") ? undefined : containerRequest(taken, "SRUN", env);
  if (asked === undefined || rest.length === 0) return undefined;
  refuseUnwrappable(given);
  const isInJob = given.has("jobid") || env["SLURM_JOB_ID"] !== undefined;
  const request = { ...asked, isJobs: !isInJob };
  const isNameless = !given.has("job-name") && (isInJob || env["SLURM_JOB_NAME"] === undefined);
  return {
    request,
    options: {
      name: isNameless ? [`--job-name=${basename(rest[0] ?? "")}`] : [],
      comment: given.has("comment") || isInJob ? [] : [`--comment=${requestComment(request)}`],
    },
    command: taskCommand(request, rest),
  };
}

/**
 * A heterogeneous job or step: each component has a container of its own, or none. @throws BerthError NOT_SUPPORTED
 */
function severalComponents(
  components: readonly TakenOptions[],
  { program, argv, env }: { readonly program: string; readonly argv: readonly string[]; readonly env: Env },
): SrunCall {
  const wrapped = components.map((words) => wrapComponent(words, env));
  if (wrapped.every((component) => component === undefined)) return { program, argv: ["srun", ...argv], env };
  const siteEnv = withoutContainer(env); // one for all components
  const parts = components.map(({ kept, taken, given, rest }, index) => {
    const component = wrapped[index];
    // srun hands a component's comment and name on to those behind it.
    if (component === undefined) {
      const own = [given.has("comment") ? [] : ["--comment="], given.has("job-name") ? [] : [`--job-name=${basename(rest[0] ?? "")}`]];
      return [...kept, ...(rest.length === 0 ? [] : own.flat()), ...rest];
    }
    if (chooseTransfer(component.request.bundle, taken, env) !== "none") {
      throw new BerthError("NOT_SUPPORTED", "Bundles cannot be sent to the nodes of a heterogeneous step", {
        hint: "put them where all nodes see them, and say --transfer=never",
      });
    }
    return [...kept, ...component.options.name, ...component.options.comment, ...knowing(component)];
  });
  return {
    program,
    argv: ["srun", ...parts.flatMap((part, index) => (index === 0 ? part : [":", ...part]))],
    env: siteEnv,
    hasContainer: true,
  };
}

/** The variables of a container, which elsewhere are the step's. */
function knowing({ request: { bundle, containerId }, command }: Component): readonly string[] {
  const id = containerId === null ? [] : [`SLURM_CONTAINER_ID=${containerId}`];
  return ["/usr/bin/env", `SLURM_CONTAINER=${bundle}`, ...id, ...command];
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
function refuseUnwrappable(given: ReadonlySet<string>): void {
  const what = ["multi-prog", "bcast"].find((option) => given.has(option));
  if (what === undefined) return;
  throw new BerthError("NOT_SUPPORTED", `--${what} cannot be combined with --container on this engine`, {
    hint:
      what === "bcast"
        ? "the bundle's own program runs: --transfer brings the bundle"
        : "run one srun for each program, or put a colon between them",
  });
}
