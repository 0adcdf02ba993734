/** Where an option's value was said, and the errors that follow from it (commands.md §1.1). */
import type { EpochMs } from "#job/id.ts";
import { parseCount } from "./count.ts";
import { parseDigits } from "./digits.ts";
import { UsageError } from "./usage-error.ts";

export type Env = Readonly<Record<string, string | undefined>>;

/** What parsing needs to know of the process, which only commands may ask. */
export interface ParseContext {
  readonly cwd: string;
  readonly now: EpochMs;
  readonly isRoot: boolean;
  /** Text of a host file (-F, -w with a slash, SLURM_HOSTFILE); undefined when it cannot be read. */
  readonly readFile: (path: string) => string | undefined;
}

export interface Site extends ParseContext {
  readonly command: string;
  /** Long name of the option. */
  readonly option: string;
  readonly source: "directive" | "environment" | "commandLine";
  /** Exit status for errors that Slurm finds after parsing: 1, or SLURM_EXIT_ERROR. */
  readonly errorExit: number;
}

/** Status of options that cannot be read at all. */
export const EXIT_USAGE = 255;

export function errorExitOf(env: Env): number {
  return (parseDigits(env["SLURM_EXIT_ERROR"] ?? "", 3) ?? 1) & 255;
}

export function invalid(site: Site, before: readonly string[] = []): UsageError {
  return new UsageError([...before, `${site.command}: error: Invalid --${site.option} specification`], EXIT_USAGE);
}

/** A value that must parse: undefined is the error. */
export function valid<T>(value: T | undefined, site: Site): T {
  if (value === undefined) throw invalid(site);
  return value;
}

export function countOf(text: string, site: Site, min = 1): number {
  const count = parseCount(text, min);
  if (count !== undefined) return count;
  throw new UsageError([`${site.command}: error: Invalid numeric value "${text}" for --${site.option}.`], site.errorExit);
}

/** An environment variable for a flag: empty, `yes` or a number but zero sets it, the rest clears it (§3.4). */
export function envFlag(value: string): boolean {
  return value === "" || value.toLowerCase() === "yes" || (/^[+-]?\d+$/.test(value) && Number(value) !== 0);
}

/** The command's name, `: unrecognized option …` and where to get help, as all but sacct print it. */
export function getoptError(command: string, message: string, exitStatus: number): UsageError {
  const own = /unrecognized option '--container-/.test(message)
    ? [`${command}: Pyxis and its options are not here: make a bundle of the image (skopeo copy, umoci unpack), and run --container BUNDLE`]
    : [];
  return new UsageError([message, ...own, `Try "${command} --help" for more information`], exitStatus);
}
