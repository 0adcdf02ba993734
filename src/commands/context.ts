/** What only commands may ask of the process: clock, directory, user, limits. */
import { nowMs } from "#job/id.ts";
import type { SubmitContext } from "#job/request.ts";
import type { ParseContext } from "#options/site.ts";
import { shortHostName } from "#platform/directories.ts";
import { readSoftLimits, readTextFile, sessionId } from "#platform/system.ts";

export function parseContext(): ParseContext {
  return {
    cwd: process.cwd(),
    now: nowMs(),
    isRoot: process.getuid?.() === 0,
    readFile: (path) => {
      try {
        return readTextFile(path);
      } catch {
        return undefined;
      }
    },
  };
}

/** The environment without holes. */
export function environment(): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) found[name] = value;
  return found;
}

/** SLURM_UMASK, except inside a job, where it is what the job was made with. */
function wantedUmask(): number | undefined {
  const text = process.env["SLURM_JOB_ID"] === undefined ? process.env["SLURM_UMASK"] : undefined;
  return text !== undefined && /^[0-7]{1,4}$/.test(text) ? Number.parseInt(text, 8) & 0o777 : undefined;
}

export function submitContext(options: {
  readonly command: string;
  readonly argv: readonly string[];
  readonly chdir: string | null;
  readonly environment: Readonly<Record<string, string>>;
}): SubmitContext {
  const umask = process.umask(0o077);
  process.umask(umask);
  return {
    submitDir: process.cwd(),
    workDir: options.chdir ?? process.cwd(),
    host: shortHostName(),
    sid: sessionId(),
    submitLine: [options.command, ...options.argv].join(" "),
    umask: wantedUmask() ?? umask,
    rlimits: readSoftLimits(),
    environment: options.environment,
  };
}
