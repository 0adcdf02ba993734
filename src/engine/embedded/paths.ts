/** Where the embedded engine keeps its things. */
import { BerthError } from "#job/errors.ts";
import type { JobId, StepKey } from "#job/id.ts";
import { directories, SITE_CONFIG_DIR, type Directories } from "#platform/directories.ts";
import { inDirectory } from "#platform/system.ts";

export interface Paths extends Directories {
  readonly socket: string;
  readonly lock: string;
  readonly database: string;
  readonly spool: string;
  readonly stepSockets: string;
  /** Of OCI runtimes that Berth chooses itself. */
  readonly runtimeRoot: string;
  /** In the order they are searched. */
  readonly configDirs: readonly string[];
}

/** sun_path of unix(7) has 108 bytes with its zero; the longest name of ours is that of an interactive step's console. */
const LONGEST_SOCKET = "/steps/4294967295.interactive.tty".length;
const SUN_PATH = 107;

/** @throws BerthError RUNTIME_DIR_LONG */
export function enginePaths(): Paths {
  const found = directories();
  if (Buffer.byteLength(found.runtime) + LONGEST_SOCKET > SUN_PATH) {
    throw new BerthError("RUNTIME_DIR_LONG", `The path ${found.runtime} is too long for sockets in it`, {
      hint: `set XDG_RUNTIME_DIR to a directory with a path of at most ${SUN_PATH - LONGEST_SOCKET - "/berth".length} bytes`,
    });
  }
  return {
    ...found,
    socket: inDirectory(found.runtime, "berthd.sock"),
    lock: inDirectory(found.runtime, "berthd.lock"),
    database: inDirectory(found.state, "berth.db"),
    spool: inDirectory(found.state, "spool"),
    stepSockets: inDirectory(found.runtime, "steps"),
    runtimeRoot: inDirectory(found.runtime, "oci"),
    configDirs: [found.config, SITE_CONFIG_DIR],
  };
}

/** A run of a job, of which a requeue makes another one: the daemon of the last step of one may still be at its end when the next begins. */
export interface JobRun {
  readonly jobId: JobId;
  readonly restarts: number;
}

export function stepSpool(paths: Paths, run: JobRun, stepKey: StepKey): string {
  return inDirectory(paths.spool, stepName(run, stepKey));
}

export function stepSocket(paths: Paths, run: JobRun, stepKey: StepKey): string {
  return inDirectory(paths.stepSockets, stepName(run, stepKey));
}

/** Of a step's spool directory and of its socket. */
export function stepName({ jobId, restarts }: JobRun, stepKey: StepKey): string {
  return `${jobId}.${stepKey}${restarts === 0 ? "" : `.r${restarts}`}`;
}
