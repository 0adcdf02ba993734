/** How a process ended. `code` is 0…255; `signal` is the signal's number. */
export type ExitStatus =
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "signaled"; readonly signal: number; readonly coreDumped: boolean }
  /** It could not be started: `errno` is Linux's number, and Slurm makes it the exit code. */
  | { readonly kind: "notStarted"; readonly errno: number; readonly message: string }
  /** Nobody was there to read it: its step daemon was lost. */
  | { readonly kind: "unknown" };

/** Slurm's `C:S` pair (lifecycle §5.1): exit code, and the signal that ended it. */
export interface ExitPair {
  readonly code: number;
  readonly signal: number;
}

export const EXIT_ZERO: ExitPair = { code: 0, signal: 0 };

/** The kernel's wait status (wait(2)). */
export function parseWaitStatus(status: number): ExitStatus {
  const signal = status & 0x7f;
  return signal === 0 ? { kind: "exited", code: (status >> 8) & 255 } : { kind: "signaled", signal, coreDumped: (status & 0x80) !== 0 };
}

export function exitPair(status: ExitStatus): ExitPair {
  switch (status.kind) {
    case "exited":
      return { code: status.code, signal: 0 };
    case "signaled":
      return { code: 0, signal: status.signal };
    case "notStarted":
      return { code: status.errno & 255, signal: 0 };
    case "unknown":
      return { code: 1, signal: 0 };
  }
}

/** What a shell shows: the code, or 128 + signal. */
export function shellCode(status: ExitStatus): number {
  const pair = exitPair(status);
  return pair.signal === 0 ? pair.code : 128 + pair.signal;
}

/** The order of lifecycle §5.1: the largest wait status wins, and a signal counts below a code. */
export function worseExit(a: ExitPair, b: ExitPair): ExitPair {
  const wait = (pair: ExitPair) => pair.code * 256 + pair.signal;
  return wait(b) > wait(a) ? b : a;
}
