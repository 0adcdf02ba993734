/** A site's scrun.lua, and an interpreter for it. */
import { constants, statSync, type Stats } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { directories, SITE_CONFIG_DIR } from "#platform/directories.ts";
import { canAccess } from "#platform/system.ts";
import { findProgram } from "#platform/find-program.ts";

const NAME = "scrun.lua";
const SLURM_CONFIG_DIR = "/etc/slurm";

/**
 * The user's, then the site's; beside slurm.conf is where Slurm looks (spec: scrun §14.1). Undefined: nothing is staged.
 * @throws BerthError SCRUN_LUA when there is something of that name that is no script for us: a site that stages wants no container without it
 */
export function findScrunLua(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const slurmConf = env["SLURM_CONF"] ?? "";
  const slurmDir = isAbsolute(slurmConf) ? dirname(slurmConf) : SLURM_CONFIG_DIR;
  return [directories(env).config, SITE_CONFIG_DIR, slurmDir].map((dir) => join(dir, NAME)).find(isScript);
}

/** An absolute path; of a site's several, the one that Slurm of today is built for. @param path as PATH */
export function findInterpreter(path: string): string | undefined {
  for (const name of ["lua5.4", "lua5.3", "lua54", "lua53", "lua"]) {
    const program = findProgram(name, path);
    if (program !== undefined) return program;
  }
  return undefined;
}

function isScript(path: string): boolean {
  let stat: Stats | undefined;
  try {
    stat = statSync(path, { throwIfNoEntry: false });
  } catch {
    return false; // in a directory that we may not look into
  }
  if (stat === undefined) return false;
  const refuse = (why: string) =>
    new BerthError("SCRUN_LUA", `Cannot use ${path}: ${why}`, { hint: "mend it, or remove it if containers need no staging" });
  if (!stat.isFile()) throw refuse("it is no file");
  if (!canAccess(path, constants.R_OK)) throw refuse("permission denied");
  return true;
}
