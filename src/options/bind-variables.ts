/**
 * What srun, sbatch and salloc tell programs of frequencies and bindings that they were asked for (srun(1), OUTPUT ENVIRONMENT
 * VARIABLES). Said whether or not something comes of it, as Slurm does where no task plugin binds. Pure.
 */
import type { JobOptions } from "#job/request.ts";

type Unused = JobOptions["unused"];

const FREQUENCY_WORDS = [
  ...["Low", "Medium", "High", "Highm1"],
  ...["Conservative", "OnDemand", "Performance", "PowerSave", "SchedUtil", "UserSpace"],
];

/** SLURM_CPU_FREQ_REQ: the same with Slurm's own letter case. */
function frequencyText(asked: string): string {
  return asked.replaceAll(/[a-z]\w*/gi, (word) => FREQUENCY_WORDS.find((known) => known.toLowerCase() === word.toLowerCase()) ?? word);
}

/** `--mem-bind=[q[uiet],|v[erbose],][sort|nosort,][prefer,]TYPE[:LIST]`, as variables. */
function memoryBinding(asked: string, command: "srun" | "sbatch" | "salloc"): Record<string, string> {
  let verbosity = "quiet";
  let [type, list, order, preference] = ["", "", "", ""];
  const words = asked.split(",");
  for (const [index, word] of words.entries()) {
    const lower = word.toLowerCase();
    const [name = "", first = ""] = lower.split(/[:=](.*)/s);
    if (["q", "quiet"].includes(lower)) verbosity = "quiet";
    else if (["v", "verbose"].includes(lower)) verbosity = "verbose";
    else if (["sort", "nosort"].includes(lower)) order = lower;
    else if (["p", "prefer"].includes(lower)) preference = "prefer";
    else if (["map_mem", "mask_mem"].includes(name)) {
      [type, list] = [`${name}:`, [first, ...words.slice(index + 1)].join(",")];
      break;
    } else type = ["n", "no"].includes(lower) ? "none" : lower;
  }
  if (type === "" && preference === "") return {};
  const wanted = [preference, `${type}${list}`].filter((text) => text !== "");
  const isSaid = command === "srun" || verbosity === "verbose";
  return {
    SLURM_MEM_BIND: [...(isSaid ? [verbosity] : []), ...wanted].join(","),
    ...(isSaid ? { SLURM_MEM_BIND_VERBOSE: verbosity } : {}),
    ...(command === "srun" ? { SLURM_MEM_BIND_LIST: list, SLURM_MEM_BIND_TYPE: type } : {}),
    ...(preference === "" ? {} : { SLURM_MEM_BIND_PREFER: preference }),
    ...(order === "" ? {} : { SLURM_MEM_BIND_SORT: order }),
  };
}

/** To what a hint, or a wish for sockets, cores and threads, binds when --cpu-bind says nothing. */
export function hintedType(unused: Unused): "threads" | "cores" | undefined {
  const { hint = "" } = unused;
  const [, cores, threads] = (unused["extra-node-info"] ?? "").split(":");
  if ((unused["threads-per-core"] ?? threads) !== undefined || ["multithread", "nomultithread"].includes(hint)) return "threads";
  return COUNT_CORES.includes(hint) || cores !== undefined ? "cores" : undefined;
}

const COUNT_CORES: readonly string[] = ["compute_bound", "memory_bound"];

/** The variables of that. */
export function hintedBinding(unused: Unused): Record<string, string> {
  const { hint = "" } = unused;
  const [, , threads] = (unused["extra-node-info"] ?? "").split(":");
  const perCore = unused["threads-per-core"] ?? threads;
  const type = hintedType(unused);
  const told = perCore ?? (COUNT_CORES.includes(hint) || hint === "nomultithread" ? "1" : undefined);
  return {
    ...(type === undefined
      ? {}
      : {
          SLURM_CPU_BIND: `quiet,${type}`,
          SLURM_CPU_BIND_LIST: "",
          SLURM_CPU_BIND_TYPE: type,
          SLURM_CPU_BIND_VERBOSE: "quiet",
        }),
    ...(told === undefined ? {} : { SLURM_THREADS_PER_CORE: told }),
  };
}

/** Both, for a job's commands. */
export function askedVariables(unused: Unused, command: "srun" | "sbatch" | "salloc"): Record<string, string> {
  const frequency = unused["cpu-freq"];
  const memory = unused["mem-bind"];
  return {
    ...(frequency === undefined ? {} : { SLURM_CPU_FREQ_REQ: frequencyText(frequency) }),
    ...(memory === undefined ? {} : memoryBinding(memory, command)),
  };
}
