/**
 * The job of a container, as salloc would ask for it. What the container says itself comes first (its limits, its devices), then its
 * `slurm.*` annotations, then SCRUN_* (spec: scrun §3.2): of several that say the same, the first one counts.
 */
import { isObject, type Json, type JsonObject } from "#container/json.ts";
import { BerthError } from "#job/errors.ts";
import type { JobRequest, SubmitContext } from "#job/request.ts";
import { parseSalloc, SALLOC_ROWS } from "#options/salloc.ts";
import { envFlag, type ParseContext } from "#options/site.ts";
import { UsageError } from "#options/usage-error.ts";
import { gresOf, wishedDevices } from "./asked-devices.ts";
import type { BundleConfig } from "../config.ts";

/** SCRUN_NAME → salloc's option. Flags have no value. */
const VARIABLES: Readonly<Record<string, string>> = {
  ACCOUNT: "account",
  ACCTG_FREQ: "acctg-freq",
  BURST_BUFFER: "bb",
  CLUSTER_CONSTRAINT: "cluster-constraint",
  CLUSTERS: "clusters",
  CONSTRAINT: "constraint",
  CORE_SPEC: "core-spec",
  CPU_FREQ_REQ: "cpu-freq",
  CPUS_PER_GPU: "cpus-per-gpu",
  CPUS_PER_TASK: "cpus-per-task",
  DELAY_BOOT: "delay-boot",
  DEPENDENCY: "dependency",
  DISTRIBUTION: "distribution",
  EXCLUSIVE: "exclusive",
  GPU_BIND: "gpu-bind",
  GPU_FREQ: "gpu-freq",
  GPUS: "gpus",
  GPUS_PER_NODE: "gpus-per-node",
  GPUS_PER_SOCKET: "gpus-per-socket",
  GPUS_PER_TASK: "gpus-per-task",
  GRES: "gres",
  GRES_FLAGS: "gres-flags",
  HINT: "hint",
  JOB_NAME: "job-name",
  JOB_NODELIST: "nodelist",
  JOB_NUM_NODES: "nodes",
  MEM_BIND: "mem-bind",
  MEM_PER_CPU: "mem-per-cpu",
  MEM_PER_GPU: "mem-per-gpu",
  MEM_PER_NODE: "mem",
  NCORES_PER_SOCKET: "cores-per-socket",
  NETWORK: "network",
  NSOCKETS_PER_NODE: "sockets-per-node",
  NTASKS: "ntasks",
  NTASKS_PER_CORE: "ntasks-per-core",
  NTASKS_PER_GPU: "ntasks-per-gpu",
  NTASKS_PER_NODE: "ntasks-per-node",
  NTASKS_PER_TRES: "ntasks-per-tres",
  OVERCOMMIT: "overcommit",
  PARTITION: "partition",
  PROFILE: "profile",
  QOS: "qos",
  REMOTE_CWD: "chdir",
  WORKING_DIR: "chdir",
  RESERVATION: "reservation",
  SIGNAL: "signal",
  SPREAD_JOB: "spread-job",
  THREAD_SPEC: "thread-spec",
  THREADS_PER_CORE: "threads-per-core",
  TIMELIMIT: "time",
  TRES_BIND: "tres-bind",
  TRES_PER_TASK: "tres-per-task",
  USE_MIN_NODES: "use-min-nodes",
  WCKEY: "wckey",
};
/** What no value belongs to, and to what none has to. */
const FLAGS: ReadonlySet<string> = new Set(SALLOC_ROWS.flatMap((row) => ((row.takes ?? row.mayTake) === undefined ? [row.name] : [])));
const MAY_BE_BARE: ReadonlySet<string> = new Set(SALLOC_ROWS.flatMap((row) => (row.mayTake === undefined ? [] : [row.name])));

/** Short names of annotations beside salloc's own long ones: slurm.cpus, slurm.time, slurm.account … */
const ANNOTATIONS: Readonly<Record<string, string>> = {
  cpus: "cpus-per-task",
  memory: "mem",
  timelimit: "time",
  "time-limit": "time",
  tasks: "ntasks",
  name: "job-name",
};
/** salloc's options that an image must not be able to give: they are about its command, its terminal and its messages, or read files. */
const NOT_FOR_ANNOTATIONS: ReadonlySet<string> = new Set([
  "container",
  "container-id",
  "nodefile",
  "no-shell",
  "bell",
  "no-bell",
  "kill-command",
  "get-user-env",
  "x11",
  "help",
  "usage",
  "version",
  "quiet",
  "verbose",
  "uid",
  "gid",
]);

/** Options that say the same thing in different ways: one of them, and the others are left out. */
const RIVALS: readonly (readonly string[])[] = [
  ["mem", "mem-per-cpu", "mem-per-gpu"],
  ["gpus", "gpus-per-node", "gpus-per-task", "gpus-per-socket"],
];

interface Wish {
  readonly option: string;
  /** As it was said. */
  readonly value: string;
  readonly source: string;
}

/** Words for a flag in an annotation; SCRUN_* have Slurm's (envFlag). */
const YES = /^(|yes|true|on|[+]?0*[1-9][0-9]*)$/i;
const NO = /^(no|false|off|0+)$/i;

export function wishesOf(
  bundle: Pick<BundleConfig, "config" | "annotations">,
  environment: Readonly<Record<string, string | undefined>>,
): Wish[] {
  const said = [...limitsOf(bundle.config), ...annotated(bundle.annotations), ...variables(environment)];
  const all = said.some(({ option }) => DEVICE_OPTIONS.test(option)) ? said : [...said, ...devicesOf(bundle.config)];
  const taken = new Set<string>();
  return all.filter(({ option }) => {
    if (taken.has(option)) return false;
    for (const rival of RIVALS.find((group) => group.includes(option)) ?? [option]) taken.add(rival);
    return true;
  });
}

/** Who asks for devices of a job asks for those. */
const DEVICE_OPTIONS = /^(gres|gpus|gpus-per-.*|tres-per-task)$/;

function devicesOf(config: JsonObject): Wish[] {
  const devices = wishedDevices(config);
  const value = gresOf(devices);
  if (value === undefined) return [];
  return [{ option: "gres", value, source: `the container's device ${devices.map(({ name }) => name).join(", ")}` }];
}

/** `linux.resources`: half a CPU still needs one, and so does each started MiB. */
function limitsOf(config: JsonObject): Wish[] {
  const resources = member(member(config, "linux"), "resources");
  const wishes: Wish[] = [];
  const cpu = member(resources, "cpu");
  const quota = numberOf(cpu?.get("quota"));
  const period = numberOf(cpu?.get("period")) ?? 100_000;
  const shares = numberOf(cpu?.get("shares"));
  if (quota !== undefined && quota > 0 && period > 0) {
    wishes.push({ option: "cpus-per-task", value: String(Math.ceil(quota / period)), source: "the container's CPU limit" });
  } else if (shares !== undefined && shares > 1024) {
    wishes.push({ option: "cpus-per-task", value: String(Math.ceil(shares / 1024)), source: "the container's CPU shares" });
  }
  const memory = numberOf(member(resources, "memory")?.get("limit"));
  if (memory !== undefined && memory > 0) {
    wishes.push({ option: "mem", value: `${Math.ceil(memory / 1048576)}M`, source: "the container's memory limit" });
  }
  return wishes;
}

function member(parent: JsonObject | undefined, name: string): JsonObject | undefined {
  const found = parent?.get(name);
  return isObject(found) ? found : undefined;
}

function numberOf(value: Json | undefined): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function annotated(annotations: Readonly<Record<string, string>>): Wish[] {
  return Object.entries(annotations).flatMap(([name, value]): Wish[] => {
    if (!name.startsWith("slurm.")) return [];
    const word = name.slice("slurm.".length).replaceAll("_", "-").toLowerCase();
    const option = (Object.hasOwn(ANNOTATIONS, word) ? ANNOTATIONS[word] : undefined) ?? word;
    if (NOT_FOR_ANNOTATIONS.has(option)) throw new BerthError("OPTION", `Annotation ${name} cannot be used here`);
    // getopt_long(3) takes "--nodefil" for "--nodefile": whole names only, or what is refused above comes in by a shorter one.
    if (!SALLOC_ROWS.some((row) => row.name === option))
      throw new BerthError("OPTION", `unrecognized option "${option}" (from annotation ${name})`, {
        hint: "slurm.NAME takes the long options of salloc",
      });
    const source = `annotation ${name}`;
    if (FLAGS.has(option) && !YES.test(value) && !NO.test(value))
      throw new BerthError("OPTION", `${source}: "${value}" is neither yes nor no`);
    // A template that had nothing to put there says nothing.
    const isSaid = FLAGS.has(option) ? YES.test(value) : value !== "" || MAY_BE_BARE.has(option);
    return isSaid ? [{ option, value, source }] : [];
  });
}

function variables(environment: Readonly<Record<string, string | undefined>>): Wish[] {
  const wishes: Wish[] = [];
  for (const [name, option] of Object.entries(VARIABLES)) {
    const value = environment[`SCRUN_${name}`];
    if (value === undefined || (FLAGS.has(option) ? !envFlag(value) : value === "" && !MAY_BE_BARE.has(option))) continue;
    wishes.push({ option, value, source: `SCRUN_${name}` });
  }
  const switches = environment["SCRUN_REQ_SWITCH"];
  const wait = environment["SCRUN_WAIT4SWITCH"];
  if (switches !== undefined && switches !== "")
    wishes.push({
      option: "switches",
      value: wait === undefined || wait === "" ? switches : `${switches}@${wait}`,
      source: "SCRUN_REQ_SWITCH",
    });
  // Of the two, WORKING_DIR counts (spec: scrun §3.2).
  return (environment["SCRUN_WORKING_DIR"] ?? "") === "" ? wishes : wishes.filter(({ source }) => source !== "SCRUN_REMOTE_CWD");
}

/** @throws BerthError OPTION in words of the one who said it */
export function jobRequestOf(
  bundle: Pick<BundleConfig, "config" | "annotations">,
  facts: {
    readonly environment: Readonly<Record<string, string | undefined>>;
    readonly context: ParseContext;
    readonly submit: SubmitContext;
    readonly name: string;
    readonly bundle: string;
    readonly containerId: string;
    readonly command: string;
    readonly comment: string | null;
  },
): JobRequest {
  const wishes = wishesOf(bundle, facts.environment);
  for (const wish of wishes) refuseControlCharacters(wish);
  let line: ReturnType<typeof parseSalloc>;
  try {
    line = parseSalloc(wishes.map(wordOf), {}, facts.context);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw refused(error, wishes, facts.context);
  }
  const isNamed = wishes.some(({ option }) => option === "job-name");
  const { job } = line;
  return {
    kind: "srun",
    options: {
      ...job,
      name: isNamed ? job.name : facts.name,
      comment: job.comment ?? facts.comment,
      container: facts.bundle,
      containerId: facts.containerId,
      requeue: false,
    },
    submit: { ...facts.submit, workDir: line.chdir ?? facts.submit.workDir },
    batch: null,
    command: facts.command,
  };
}

/** Annotations and variables may be an image's: squeue and sacct print them, a line for each job, on terminals. */
function refuseControlCharacters({ value, source }: Wish): void {
  const code = Array.from(value, (char) => char.codePointAt(0) ?? 0).find((found) => found < 0x20 || (found >= 0x7f && found < 0xa0));
  if (code === undefined) return;
  throw new BerthError("OPTION", `${source} has a control character (code ${code}) in it`, { hint: "leave it out" });
}

function wordOf({ option, value }: Wish): string {
  const isBare = FLAGS.has(option) || (MAY_BE_BARE.has(option) && (value === "" || (option === "exclusive" && YES.test(value))));
  return isBare ? `--${option}` : `--${option}=${value}`;
}

/** Who has said it: the first one that would be refused alone. */
function refused(error: UsageError, wishes: readonly Wish[], context: ParseContext): BerthError {
  const text = error.lines.find((found) => found.includes("error:") || found.includes("option")) ?? error.message;
  const message = text.replace(/^salloc: (error: )?/, "");
  const culprit = wishes.find((wish) => {
    try {
      parseSalloc([wordOf(wish)], {}, context);
      return false;
    } catch {
      return true;
    }
  });
  return new BerthError("OPTION", culprit === undefined ? message : `${message} (from ${culprit.source}: "${culprit.value}")`);
}

/** scancel of a job that waits: the engine only knows that it has ended. */
export function cancelledInQueue(error: unknown, jobId: number | null): unknown {
  if (!(error instanceof BerthError) || error.code !== "ALREADY_DONE" || jobId === null) return error;
  return new BerthError("CANCELLED", `job ${jobId} was cancelled while it waited in the queue`, { cause: error });
}
