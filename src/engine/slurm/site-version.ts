/** Which Slurm the site's commands are of. Asking costs a process, so the answer is kept until the program changes. */
import { readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { directories, ensurePrivateDir } from "#platform/directories.ts";
import { outputOf } from "#platform/run-tool.ts";

export type SlurmVersion = readonly [major: number, minor: number];

/** @param program the site's srun; [0, 0] when it does not say */
export function siteVersion(program: string): SlurmVersion {
  const { size, mtimeMs, ino } = statSync(program);
  const print = `${program} ${size} ${mtimeMs} ${ino}`;
  const file = join(directories().state, "slurm-version");
  const known = read(file);
  if (known?.startsWith(`${print}\n`) === true) return parseVersion(known.slice(print.length));
  const said = outputOf([program, "--version"]);
  try {
    ensurePrivateDir(directories().state);
    const part = `${file}.part-${process.pid}`;
    writeFileSync(part, `${print}\n${said}`, { mode: 0o600 });
    renameSync(part, file);
  } catch {
    // Asked again the next time.
  }
  return parseVersion(said);
}

/** `slurm-wlm 22.05.8` */
export function parseVersion(text: string): SlurmVersion {
  const [, major = "0", minor = "0"] = /(\d+)\.(\d+)/.exec(text) ?? [];
  return [Number(major), Number(minor)];
}

export function isBefore([major, minor]: SlurmVersion, [otherMajor, otherMinor]: SlurmVersion): boolean {
  return major < otherMajor || (major === otherMajor && minor < otherMinor);
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
