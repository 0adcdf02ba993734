/**
 * One executable, many commands. A link named `srun` and `berth srun` do the same. Each command's module is loaded only
 * when it is the one: start-up time is a feature.
 */
import { baseName } from "#options/path.ts";
import { printError } from "./terminal.ts";

/** Gives the exit status. */
export type CommandRun = (argv: readonly string[]) => Promise<number> | number;

const SLURM_COMMANDS: Readonly<Record<string, () => Promise<CommandRun>>> = {
  srun: async () => (await import("./srun.ts")).srun,
  sbatch: async () => (await import("./sbatch.ts")).sbatch,
  salloc: async () => (await import("./salloc.ts")).salloc,
  scancel: async () => (await import("./scancel.ts")).scancel,
  squeue: async () => (await import("./squeue.ts")).squeue,
  sinfo: async () => (await import("./sinfo.ts")).sinfo,
  sacct: async () => (await import("./sacct.ts")).sacct,
  scontrol: async () => (await import("./scontrol.ts")).scontrol,
  sstat: async () => (await import("./sstat.ts")).sstat,
  sattach: async () => (await import("./sattach.ts")).sattach,
  sbcast: async () => (await import("./sbcast.ts")).sbcast,
  sacctmgr: async () => (await import("./accounts.ts")).sacctmgr,
  sshare: async () => (await import("./accounts.ts")).sshare,
};

/** Its links are made too, but it is never the site's: it asks whichever engine is in use. */
const RUNTIME_PROXY = "scrun";

const OWN_COMMANDS: Readonly<Record<string, () => Promise<CommandRun>>> = {
  scrun: async () => (await import("./scrun.ts")).scrunCommand,
  daemon: async () => (await import("./daemon.ts")).daemon,
  stepd: async () => (await import("./stepd.ts")).stepd,
  link: async () => (await import("./link.ts")).link,
  info: async () => (await import("./info.ts")).info,
  doctor: async () => (await import("./doctor.ts")).doctor,
  oci: async () => (await import("./oci.ts")).oci,
  bundle: async () => (await import("./bundle.ts")).bundle,
  "lua-host": async () => (await import("./lua-host.ts")).luaHost,
  "pmix-host": async () => (await import("./pmix-host.ts")).pmixHost,
  task: async () => (await import("./task.ts")).task,
  stage: async () => (await import("./stage.ts")).stage,
  generate: async () => (await import("./generate.ts")).generate,
  completion: async () => (await import("./completion.ts")).completion,
  man: async () => (await import("./man.ts")).man,
  cluster: async () => (await import("./cluster.ts")).cluster,
};

export const LINK_NAMES: readonly string[] = [...Object.keys(SLURM_COMMANDS), RUNTIME_PROXY];

export async function runCommand(call: { readonly calledAs: string; readonly argv: readonly string[] }): Promise<number> {
  const name = baseName(call.calledAs);
  if (LINK_NAMES.includes(name)) return await run(name, takeEngine(call.argv));
  const [word = "", ...rest] = takeEngine(call.argv);
  if (lookUp(word) !== undefined) return await run(word, takeEngine(rest));
  try {
    return (await import("./berth.ts")).berth(call.argv);
  } catch (error) {
    return printError("berth", error);
  }
}

/** `--engine NAME`, before or behind the command's name, is BERTH_ENGINE for this call and for the jobs it makes. */
function takeEngine(argv: readonly string[]): readonly string[] {
  const [first = "", second] = argv;
  const name = first === "--engine" ? second : first.startsWith("--engine=") ? first.slice("--engine=".length) : undefined;
  if (name === undefined) return argv;
  process.env["BERTH_ENGINE"] = name;
  return argv.slice(first === "--engine" ? 2 : 1);
}

function lookUp(word: string): (() => Promise<CommandRun>) | undefined {
  if (Object.hasOwn(SLURM_COMMANDS, word)) return SLURM_COMMANDS[word];
  return Object.hasOwn(OWN_COMMANDS, word) ? OWN_COMMANDS[word] : undefined;
}

async function run(name: string, argv: readonly string[]): Promise<number> {
  try {
    const engine = Object.hasOwn(SLURM_COMMANDS, name) ? await import("./engine.ts") : undefined;
    if (engine?.chooseEngine().engine === "slurm") {
      if (!engine.isThroughRest()) {
        engine.checkSlurmConf();
        return await (await import("./site.ts")).runOnSite(name, argv);
      }
      engine.refuseLiveStep(name);
    }
    const load = lookUp(name);
    if (load === undefined) throw new Error(`there is no command ${name}`);
    return await (await load())(argv);
  } catch (error) {
    return printError(name, error);
  }
}
