/** How each shared option changes the draft. A setter without value is a flag's, or an optional value left out. */
import type { Distribution } from "#job/request.ts";
import { parseNodeCount } from "./count.ts";
import { parseDuration } from "./duration.ts";
import { parseExportRule } from "./export-rule.ts";
import { parseGpuBind } from "./gpu-bind.ts";
import { parseGpus, parseGres } from "./gres.ts";
import { expandHostlist, parseHostFile } from "./hostlist.ts";
import type { CommonDraft, StreamDraft } from "./job-draft.ts";
import { parseMailTypes } from "./mail-type.ts";
import { parseMemoryMib } from "./memory.ts";
import { absolutePath } from "./path.ts";
import { countOf, envFlag, EXIT_USAGE, invalid, valid, type Site } from "./site.ts";
import { parseTimePoint } from "./time-point.ts";
import { UsageError } from "./usage-error.ts";
import { parseWarnSignal } from "./warn-signal.ts";

/** `value` is "" for an option without one. */
export type Setter<Draft> = (draft: Draft, value: string, site: Site) => void;
export type Flag<Draft> = (draft: Draft, isOn: boolean) => void;

const DEFAULT_NICE = 100;
/** Slurm keeps ±2^31 − 3 for itself. */
const MAX_NICE = 2 ** 31 - 3;

export const JOB_FLAGS: Readonly<Record<string, Flag<CommonDraft>>> = {
  contiguous: ({ job }, isOn) => {
    job.contiguous = isOn;
  },
  hold: ({ job }, isOn) => {
    job.hold = isOn;
  },
  overcommit: ({ job }, isOn) => {
    job.overcommit = isOn;
  },
  oversubscribe: ({ job }, isOn) => {
    job.oversubscribe = isOn;
    if (isOn) job.exclusive = false;
  },
  quiet: (draft, isOn) => {
    draft.quiet = isOn;
  },
  "test-only": (draft, isOn) => {
    draft.testOnly = isOn;
  },
  verbose: (draft) => {
    draft.verbose++;
  },
};

export const JOB_SETTERS: Readonly<Record<string, Setter<CommonDraft>>> = {
  account: ({ job }, value) => {
    job.account = value;
  },
  comment: ({ job }, value) => {
    job.comment = value;
  },
  "job-name": ({ job }, value) => {
    job.name = value;
  },
  licenses: ({ job }, value) => {
    job.licenses = value;
  },
  "mail-type": ({ job }, value, site) => {
    job.mailTypes = valid(parseMailTypes(value), site);
  },
  "mail-user": ({ job }, value) => {
    job.mailUser = value;
  },
  partition: ({ job }, value) => {
    job.partition = value;
  },
  qos: ({ job }, value) => {
    job.qos = value;
  },
  reservation: ({ job }, value) => {
    job.reservation = value === "" ? null : value;
  },
  signal: ({ job }, value, site) => {
    job.warnSignal = valid(parseWarnSignal(value, { isBatch: site.command === "sbatch" }), site);
  },
  wckey: ({ job }, value) => {
    job.wckey = value;
  },

  "cpus-per-gpu": ({ job }, value, site) => {
    job.cpusPerGpu = countOf(value, site);
  },
  "cpus-per-task": ({ job }, value, site) => {
    job.cpusPerTask = countOf(value, site);
  },
  exclusive: ({ job }, value, site) => {
    job.exclusive = isOn(value, ["user", "mcs", "topo", "exclusive"], site);
    if (job.exclusive) job.oversubscribe = false;
  },
  "gpu-bind": ({ job }, value, site) => {
    const binding = parseGpuBind(value);
    if (binding === undefined) throw new UsageError([`${site.command}: error: Invalid --gpu-bind argument: gpu:${value}`], EXIT_USAGE);
    job.gpuBind = value;
    job.gpuBinding = binding;
  },
  "ntasks-per-gpu": ({ job }, value, site) => {
    job.tasksPerGpu = countOf(value, site);
  },
  gpus: ({ job }, value, site) => {
    job.gpus = gpusOf(value, site);
  },
  "gpus-per-node": ({ job }, value, site) => {
    job.gpusPerNode = gpusOf(value, site);
  },
  "gpus-per-socket": ({ job }, value, site) => {
    job.gpusPerSocket = gpusOf(value, site);
  },
  "gpus-per-task": ({ job }, value, site) => {
    job.gpusPerTask = gpusOf(value, site);
  },
  gres: (draft, value, site) => {
    const word = value.toLowerCase();
    if (word === "help" || word === "list") {
      draft.action = "gresHelp";
      return;
    }
    if (parseGres(value) === undefined) {
      throw new UsageError([`${site.command}: error: Invalid generic resource (gres) specification`], site.errorExit);
    }
    draft.job.gres = word === "none" ? null : value.replace(/(^|,)gres[:/]/gi, "$1");
  },
  mem: ({ job }, value, site) => {
    job.memPerNodeMib = valid(parseMemoryMib(value), site);
  },
  "mem-per-cpu": ({ job }, value, site) => {
    job.memPerCpuMib = valid(parseMemoryMib(value), site);
  },
  "mem-per-gpu": ({ job }, value, site) => {
    job.memPerGpuMib = valid(parseMemoryMib(value), site);
  },
  mincpus: ({ job }, value, site) => {
    job.minCpusPerNode = countOf(value, site);
  },
  nodes: ({ job }, value, site) => {
    const count = parseNodeCount(value);
    if (count.kind === "invalid") throw nodeError(site, `"${value}" is not a valid node count`);
    if (count.kind === "reversed") {
      throw nodeError(site, `Maximum node count ${count.max} is less than minimum node count ${count.min}`);
    }
    job.nodesMin = count.min;
    job.nodesMax = count.max;
  },
  ntasks: ({ job }, value, site) => {
    job.tasks = countOf(value, site);
  },
  "ntasks-per-node": ({ job }, value, site) => {
    job.tasksPerNode = countOf(value, site);
  },
  tmp: ({ job }, value, site) => {
    job.tmpDiskMib = valid(parseMemoryMib(value), site);
  },

  constraint: ({ job }, value) => {
    job.constraint = value;
  },
  distribution: ({ job }, value, site) => {
    const found = valid(parseDistribution(value), site);
    job.distribution = found.kind;
    job.planeSize = found.planeSize;
  },
  exclude: ({ job }, value, site) => {
    job.excludeNodes = hostsOf(value, site);
  },
  "no-kill": ({ job }, value, site) => {
    job.noKill = value !== "off" && isOn(value, ["set"], site);
  },
  nodefile: ({ job }, value, site) => {
    job.nodeList = hostsInFile(value, site);
  },
  nodelist: ({ job }, value, site) => {
    job.nodeList = hostsOf(value, site);
  },

  begin: ({ job }, value, site) => {
    job.beginAt = timeOf(value, site);
  },
  deadline: ({ job }, value, site) => {
    job.deadlineAt = timeOf(value, site);
  },
  dependency: ({ job }, value) => {
    job.dependency = value;
  },
  immediate: ({ job }, value, site) => {
    job.immediateSeconds = value === "" ? 1 : countOf(value, site, 0);
  },
  "kill-on-invalid-dep": ({ job }, value, site) => {
    const word = value.toLowerCase();
    if (word !== "yes" && word !== "no") throw invalid(site);
    job.killOnInvalidDependency = word === "yes";
  },
  nice: ({ job }, value, site) => {
    const nice = value === "" ? DEFAULT_NICE : Number(valid(/^[+-]?\d{1,30}$/.exec(value)?.[0], site));
    if (Math.abs(nice) > MAX_NICE)
      throw new UsageError([`${site.command}: error: Invalid --nice value, out of range (+/- ${MAX_NICE})`], EXIT_USAGE);
    job.nice = nice;
  },
  priority: ({ job }, value, site) => {
    if (value.toUpperCase() === "TOP") job.priority = "top";
    else {
      const priority = Number(valid(/^\d{1,10}$/.exec(value)?.[0], site));
      if (priority >= 2 ** 32 - 2) throw invalid(site);
      job.priority = priority;
    }
  },
  time: ({ job }, value, site) => {
    job.timeLimitMinutes = valid(parseDuration(value), site);
  },
  "time-min": ({ job }, value, site) => {
    const minutes = valid(parseDuration(value), site);
    job.timeMinMinutes = minutes === "unlimited" ? null : minutes;
  },

  chdir: (draft, value, site) => {
    draft.chdir = absolutePath(site.cwd, value);
  },
  clusters: (draft, value) => {
    draft.clusters = value;
  },
  container: ({ job }, value, site) => {
    job.container = value === "" || value.includes("://") ? value : absolutePath(site.cwd, value);
  },
  "container-id": ({ job }, value) => {
    job.containerId = value;
  },
  "get-user-env": (draft, value) => {
    draft.getUserEnv = value;
  },
  gid: (draft, value, site) => {
    draft.gid = rootOnly(value, site);
  },
  uid: (draft, value, site) => {
    draft.uid = rootOnly(value, site);
  },
};

export const STREAM_SETTERS: Readonly<Record<string, Setter<StreamDraft>>> = {
  error: (draft, value) => {
    draft.error = value;
  },
  export: (draft, value) => {
    draft.export = parseExportRule(value);
  },
  input: (draft, value) => {
    draft.input = value;
  },
  "open-mode": (draft, value, site) => {
    const letter = value.charAt(0).toLowerCase();
    if (letter !== "a" && letter !== "t") throw invalid(site);
    draft.openMode = letter === "a" ? "append" : "truncate";
  },
  output: (draft, value) => {
    draft.output = value;
  },
};

/** An option with an optional word: absent is on, and in the environment it is a flag's variable. */
function isOn(value: string, words: readonly string[], site: Site): boolean {
  if (value === "" || words.includes(value.toLowerCase())) return true;
  if (site.source === "environment") return envFlag(value);
  throw invalid(site);
}

function gpusOf(value: string, site: Site): string {
  valid(parseGpus(value), site);
  return value.replace(/(^|,)gpu:/gi, "$1");
}

function nodeError(site: Site, text: string): UsageError {
  return new UsageError([`${site.command}: error: ${text}`], EXIT_USAGE);
}

function timeOf(value: string, site: Site) {
  const point = parseTimePoint(value, { now: site.now });
  if (point.kind === "invalid") throw invalid(site, [point.message]);
  return point.at;
}

function hostsOf(value: string, site: Site): string[] {
  return value.includes("/") ? hostsInFile(value, site) : expandHostlist(value);
}

export function hostsInFile(path: string, site: Site): string[] {
  return parseHostFile(valid(site.readFile(absolutePath(site.cwd, path)), site));
}

/** Jobs of the embedded engine run as who submitted them: naming somebody else must not be forgotten silently. */
function rootOnly(value: string, site: Site): string {
  if (!site.isRoot) throw new UsageError([`${site.command}: error: --${site.option} only permitted by root user`], EXIT_USAGE);
  if (value === "root" || value === "0") return value;
  throw new UsageError(
    [`${site.command}: error: --${site.option}=${value} is not supported: jobs run as who submits them`],
    site.errorExit,
  );
}

/** `block|cyclic|plane=N|arbitrary|*`; levels below the node (`:cyclic:block`) and flags (`,NoPack`) have no effect. */
function parseDistribution(text: string): { kind: Distribution | null; planeSize: number | null } | undefined {
  const [levels = "", flag, ...more] = text.toLowerCase().split(",");
  if (more.length > 0 || (flag !== undefined && flag !== "pack" && flag !== "nopack")) return undefined;
  const match = /^(?:(block|cyclic|arbitrary|\*)(?::(?:block|cyclic|fcyclic|\*)){0,2}|plane(?:=([1-9]\d{0,8}))?)$/.exec(levels);
  if (match === null) return undefined;
  if (match[1] === undefined) return { kind: "plane", planeSize: match[2] === undefined ? null : Number(match[2]) };
  return { kind: match[1] === "*" ? null : (match[1] as Distribution), planeSize: null };
}
