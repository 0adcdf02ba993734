/** Which Slurm the site's commands are of. */
import { outputOf } from "#platform/run-tool.ts";
import { keptAnswer } from "./kept-answer.ts";

export type SlurmVersion = readonly [major: number, minor: number];

const MAX_AGE_MS = 30 * 86_400_000;

/** @param program the site's srun; [0, 0] when it does not say */
export function siteVersion(program: string): SlurmVersion {
  return parseVersion(keptAnswer("version", { about: program, maxAgeMs: MAX_AGE_MS, ask: () => outputOf([program, "--version"]) }));
}

/** `slurm-wlm 22.05.8` */
export function parseVersion(text: string): SlurmVersion {
  const [, major = "0", minor = "0"] = /(\d+)\.(\d+)/.exec(text) ?? [];
  return [Number(major), Number(minor)];
}

export function isBefore([major, minor]: SlurmVersion, [otherMajor, otherMinor]: SlurmVersion): boolean {
  return major < otherMajor || (major === otherMajor && minor < otherMinor);
}
