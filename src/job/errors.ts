/**
 * Errors a user can meet. The table holds the texts that Slurm's tools and their readers know
 * (commands.md §19) and the numbers that become exit codes (slurm_errno.h values are facts of the protocol).
 */
export const SLURM_ERRORS = {
  INVALID_PARTITION: [2000, "Invalid partition name specified"],
  ACCESS_DENIED: [2002, "Access/permission denied"],
  JOB_MISSING_REQUIRED_PARTITION: [2003, "Required partition not available (inactive or drained)"],
  REQUESTED_PART_CONFIG_UNAVAILABLE: [2015, "Requested partition configuration not available now"],
  NODES_BUSY: [2016, "Requested nodes are busy"],
  INVALID_JOB_ID: [2017, "Invalid job id specified"],
  INVALID_NODE_NAME: [2018, "Invalid node name specified"],
  NODE_CONFIG_UNAVAILABLE: [2014, "Requested node configuration is not available"],
  ALREADY_DONE: [2021, "Job/step already completing or completed"],
  JOB_PENDING: [2034, "Job is pending execution"],
  JOB_NOT_PENDING: [2027, "Job is no longer pending execution"],
  JOB_FINISHED: [2062, "Job has already finished"],
  DEPENDENCY: [2036, "Job dependency problem"],
  INVALID_TIME_LIMIT: [2051, "Requested time limit is invalid (missing or exceeds some limit)"],
  BAD_NODE_COUNT: [2006, "Node count specification invalid"],
  INVALID_RESERVATION: [2053, "Requested reservation is invalid"],
  INVALID_ARRAY: [2078, "Invalid job array specification"],
  INVALID_FEATURE: [2049, "Invalid feature specification"],
  INVALID_GRES: [2072, "Invalid generic resource (gres) specification"],
  INVALID_LICENSES: [2048, "Invalid license specification"],
  INVALID_NICE: [2186, "Invalid --nice value"],
  DISABLED: [2032, "Requested operation is presently disabled"],
  NOT_SUPPORTED: [2112, "Requested operation not supported on this system"],
  TOO_MANY_CPUS: [2066, "More processors requested than permitted"],
  CONTROLLER_DOWN: [1800, "Unable to contact slurm controller (connect failure)"],
  SCRIPT_FAILED: [-1, "A script failed"],
  UNSPECIFIED: [-1, "Unspecified error"],
} as const satisfies Record<string, readonly [errno: number, text: string]>;
export type SlurmErrorCode = keyof typeof SLURM_ERRORS;

export interface BerthErrorOptions {
  /** The next thing to do, as one sentence without a full stop. */
  readonly hint?: string;
  readonly cause?: unknown;
  /** Lines that Slurm prints before the main one, without the command's name. */
  readonly before?: readonly string[];
}

/**
 * An operating error: expected, told to the user, never a bug. `code` is stable and is either one of
 * SLURM_ERRORS or a word of our own; commands add their own prefix when they print `message`.
 */
export class BerthError extends Error {
  readonly code: string;
  readonly hint: string | undefined;
  readonly before: readonly string[];

  constructor(code: string, message: string, options: BerthErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "BerthError";
    this.code = code;
    this.hint = options.hint;
    this.before = options.before ?? [];
  }

  /** Slurm's number for it; -1 when it is an error of our own. */
  get errno(): number {
    return this.code in SLURM_ERRORS ? SLURM_ERRORS[this.code as SlurmErrorCode][0] : -1;
  }
}

export function slurmError(code: SlurmErrorCode, options: BerthErrorOptions = {}): BerthError {
  return new BerthError(code, SLURM_ERRORS[code][1], options);
}

const SHORTAGES: Readonly<Record<string, string>> = {
  ENOSPC: "make room there",
  EDQUOT: "make room there, or ask for a larger quota",
  EROFS: "the file system is mounted read-only",
  EMFILE: "too many files are open: see ulimit -n",
  ENFILE: "too many files are open on this machine",
  EAGAIN: "too many processes: see ulimit -u",
  ENOMEM: "the machine has no more memory",
};

/** What to do about it, when the machine has no more of something: no bug of ours, wherever it comes up. */
export function shortageHint(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return undefined;
  return Object.hasOwn(SHORTAGES, error.code) ? SHORTAGES[error.code] : undefined;
}
