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
import { captureOutput, spawnForeground } from "#platform/spawn.ts";
import { environment } from "./context.ts";
import { writeAll } from "./terminal.ts";

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
    case "scontrol": {
      const isJobs = argv.some((word) => /^job/i.test(word)) && argv.some((word) => /^sh/i.test(word));
      if (!isJobs) return become({ program: getSiteProgram(name), argv: [name, ...argv], env });
      const { showInScontrol } = await import("#engine/slurm/site/show-containers.ts");
      return await filtered(name, argv, showInScontrol);
    }
    case "squeue": {
      const at = argv.findIndex((word) => word === "-O" || word === "--Format" || word.startsWith("--Format=") || /^-O./.test(word));
      const { containerColumns } = at < 0 || !/contain/i.test(argv.slice(at, at + 2).join(" ")) ? { containerColumns: () => undefined } : await import("#engine/slurm/site/show-containers.ts");
      const isApart = argv[at] === "-O" || argv[at] === "--Format";
      const columns = containerColumns((isApart ? argv[at + 1] : argv[at]?.replace(/^(--Format=|-O)/, "")) ?? "");
      if (columns === undefined) return become({ program: getSiteProgram(name), argv: [name, ...argv], env });
      return await filtered(name, [...argv.slice(0, at), `--Format=${columns.format}`, ...argv.slice(at + (isApart ? 2 : 1))], columns.show);
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

/** The command's own output, with containers shown; its error stream and status as they are. */
async function filtered(name: string, argv: readonly string[], show: (text: string) => string): Promise<number> {
  const { status, stdout } = await captureOutput([getSiteProgram(name), ...argv], environment());
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
