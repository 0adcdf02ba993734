/**
 * Slurm's commands on the site's own Slurm: each becomes the site's command of the same name. Most replace this process, so
 * that streams, terminal, signals and exit status are Slurm's own.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { isatty as isTerminal } from "node:tty";
import { getSiteProgram } from "#engine/slurm/programs.ts";
import type { SiteCall } from "#engine/slurm/site/site-call.ts";
import { shellCode } from "#job/outcome.ts";
import { restoreFileLimit, replaceProcess } from "#platform/exec.ts";
import { spawnForeground } from "#platform/spawn.ts";
import { environment } from "./context.ts";

export async function runOnSite(name: string, argv: readonly string[]): Promise<number> {
  const env = environment();
  switch (name) {
    case "srun": return become((await import("#engine/slurm/site/srun.ts")).siteSrun(argv, env));
    case "salloc": {
      const { siteSalloc } = await import("#engine/slurm/site/salloc.ts");
      return become(siteSalloc(argv, env, { hasTerminal: isTerminal(0) && isTerminal(1) }));
    }
    case "sbatch": {
      const { siteSbatch } = await import("#engine/slurm/site/sbatch.ts");
      using call = await siteSbatch(argv, env, readScript);
      return call.isTemporary ? await runBelow(call) : become(call);
    }
    default: return become({ program: getSiteProgram(name), argv: [name, ...argv], env });
  }
}

function become({ program, argv, env }: SiteCall): never {
  return replaceProcess(program, argv, env);
}

/** For a command that leaves something to clean up. Ctrl-C is the command's: it is in the same foreground group. */
async function runBelow({ program, argv, env }: SiteCall): Promise<number> {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const) process.on(signal, () => undefined);
  restoreFileLimit();
  return shellCode(await spawnForeground([program, ...argv.slice(1)], env).exited);
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
