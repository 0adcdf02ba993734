/**
 * Slurm's commands on the site's own Slurm: each becomes the site's command of the same name. Most replace this process, so
 * that streams, terminal, signals and exit status are Slurm's own. Modules are loaded by the command that needs them: all
 * the time from here to execve is on top of Slurm's.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { getSiteProgram } from "#engine/slurm/programs.ts";
import type { SbatchCall } from "#engine/slurm/site/sbatch.ts";
import type { SrunCall } from "#engine/slurm/site/srun.ts";
import type { SiteCall } from "#engine/slurm/site/site-call.ts";
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import { directories } from "#platform/directories.ts";
import { restoreFileLimit, replaceProcess } from "#platform/exec.ts";
import { selfOnDisk } from "#platform/self.ts";
import { asRealUser, canBecomeRealUser, realUserId } from "#platform/users.ts";

type Env = Readonly<Record<string, string>>;

export async function runOnSite(name: string, argv: readonly string[]): Promise<number> {
  const env = Object.fromEntries(Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined));
  becomeRealUser(name, argv, env);
  const asIs: SiteCall = { program: getSiteProgram(name), argv: [name, ...argv], env };
  switch (name) {
    case "srun":
      if (!mayAsk(argv, env)) return become(asIs);
      return await runSrun((await import("#engine/slurm/site/srun.ts")).siteSrun(argv, env));
    case "salloc": {
      if (!mayAsk(argv, env)) return become(asIs);
      const [{ siteSalloc }, { isTerminal }] = await Promise.all([import("#engine/slurm/site/salloc.ts"), import("#platform/libc.ts")]);
      return become(siteSalloc(argv, env, { hasTerminal: isTerminal(0) && isTerminal(1) }));
    }
    case "sbatch": {
      const { siteSbatch } = await import("#engine/slurm/site/sbatch.ts");
      using call = await siteSbatch(argv, env, readScript);
      return call.isTemporary ? await runBelow(call) : become(call);
    }
    case "sacct":
      if (!(await import("#engine/slurm/accounting/cluster-name.ts")).hasAccounting(env) && !isOnlyTheSites(argv)) {
        return (await import("./sacct.ts")).sacct(argv);
      }
      return await shown(name, asIs, argv);
    case "squeue":
      await keepCourier();
      return await shown(name, asIs, argv);
    case "scontrol":
      return await shown(name, asIs, argv);
  }
  return become(asIs);
}

/** What Slurm refuses to root of a container, whose user is another outside. Queries are answered to anybody. */
const ONLY_OF_THE_USER: ReadonlySet<string> = new Set(["srun", "sbatch", "salloc", "sbcast", "sattach"]);

/**
 * In a container whose root the user is: once more, as himself, because munge says so outside. Returns where nothing is to be done.
 * @throws BerthError NAMESPACE
 */
function becomeRealUser(name: string, argv: readonly string[], env: Env): void {
  const words = asRealUser();
  const [unshare, ...options] = words;
  if (unshare === undefined) return;
  const can = canBecomeRealUser();
  if (can === "yes") replaceProcess(unshare, [unshare, ...options, ...selfOnDisk(name, ...argv)], env);
  if (!ONLY_OF_THE_USER.has(name)) return;
  throw new BerthError("NAMESPACE", `${name} cannot be called here: Slurm knows the root of this container as user ${realUserId()}`, {
    hint:
      can === "no unshare"
        ? "install unshare (util-linux) in the image, so that it can run as that user"
        : "give the container the capability CAP_SETFCAP, as podman and docker do, so that it can run as that user",
  });
}

/** Whoever looks at his jobs expects them to get on. */
async function keepCourier(): Promise<void> {
  if (!existsSync(join(directories().state, "couriers"))) return; // nothing was ever to be brought from here
  (await import("#engine/slurm/cache/courier-records.ts")).startCourierIfNeeded();
}

async function shown(name: "scontrol" | "squeue" | "sacct", asIs: SiteCall, argv: readonly string[]): Promise<number> {
  const { ContainerLookup, filterFor, jsonFilter } = await import("#engine/slurm/site/show-containers.ts");
  const filter =
    name === "sacct"
      ? ((await jsonFilter(argv, new ContainerLookup(asIs.env))) ?? (await import("./site-sacct.ts")).sacctFilter(argv, asIs.env))
      : await filterFor(name, argv, asIs.env);
  return filter === undefined ? become(asIs) : await filtered(name, filter, asIs.env);
}

/** Without slurmdbd Berth's own sacct asks the controller; but not for what only the site's sacct can read. */
function isOnlyTheSites(argv: readonly string[]): boolean {
  return argv.some((word) => /^(?:--comp|-[a-zA-Z]{0,3}c$|--file|-f|-V|--version|--help|-h$|--usage|-M|--clusters?)/.test(word));
}

/** Whether srun or salloc could be asked for a container: only then their words are read, which takes two milliseconds. */
function mayAsk(argv: readonly string[], env: Env): boolean {
  const hasWord = argv.some((word) => /^--(?:conta|na|tr)/.test(word)); // --cont is ambiguous, and --n another option
  return (
    hasWord || ["SRUN_CONTAINER", "SRUN_CONTAINER_ID", "SALLOC_CONTAINER", "SALLOC_CONTAINER_ID"].some((name) => env[name] !== undefined)
  );
}

/** A step in a container ends with an error when its node is lost, whatever the site's srun makes of it. */
async function runSrun(call: SrunCall): Promise<number> {
  if (!call.hasContainer) return become(call);
  const { forgetsNodeFailures, runWatched } = await import("#engine/slurm/site/watched-srun.ts");
  return forgetsNodeFailures(call.program) ? await runWatched(call) : become(call);
}

function become({ program, argv, env }: SiteCall): never {
  return replaceProcess(program, argv, env);
}

/** For a command that leaves something to clean up. Ctrl-C is the command's: it is in the same foreground group. */
async function runBelow({ program, argv, env, onSubmitted }: SiteCall & Pick<SbatchCall, "onSubmitted">): Promise<number> {
  const { spawnForeground, spawnOverheard } = await import("#platform/spawn.ts");
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const) process.on(signal, () => undefined);
  restoreFileLimit();
  const command: [string, ...string[]] = [program, ...argv.slice(1)];
  if (onSubmitted === undefined) return shellCode(await spawnForeground(command, env).exited);
  const { writeAll } = await import("./terminal.ts");
  const child = spawnOverheard(command, { env, stream: 1 });
  let said: string | undefined = "";
  for await (const bytes of child.heard) {
    if (said !== undefined) {
      said += Buffer.from(bytes).toString("latin1");
      const jobId = /^(?:Submitted batch job )?(\d+)[ ;\n]/m.exec(said)?.[1];
      if (jobId !== undefined) {
        said = undefined;
        onSubmitted(Number(jobId)); // before anybody else hears of it
      }
    }
    writeAll(1, bytes);
  }
  return shellCode(await child.exited);
}

/** The command's own output, with containers shown; its error stream and status as they are. */
async function filtered(
  name: string,
  { argv, show }: { readonly argv: readonly string[]; readonly show: (text: string) => string },
  env: Env,
): Promise<number> {
  const [{ captureOutput }, { writeAll }] = await Promise.all([import("#platform/spawn.ts"), import("./terminal.ts")]);
  const { status, stdout } = await captureOutput([getSiteProgram(name), ...argv], env);
  writeAll(1, show(stdout));
  return shellCode(status);
}

/** As sbatch looks for it: here, then along PATH. */
async function readScript(name: string | null): Promise<string | undefined> {
  if (name === null) return await Bun.stdin.text();
  const read = (path: string) => {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return undefined;
    }
  };
  const here = read(resolve(name));
  if (here !== undefined || name.includes("/")) return here;
  const found = Bun.which(name, { PATH: process.env["PATH"] ?? "" });
  return found === null ? undefined : read(found);
}
