/** A process whose streams we hold: the site's srun and salloc, which run as long as their step or allocation. */
import type { ExitStatus } from "#job/outcome.ts";
import { registerChild } from "./orphans.ts";
import { sendSignal } from "./process-tree.ts";
import { exitStatusOf } from "./spawn.ts";

export interface PipedProcess {
  readonly pid: number;
  readonly exited: Promise<ExitStatus>;
  readonly stdout: AsyncIterable<Uint8Array>;
  readonly stderr: AsyncIterable<Uint8Array>;
  /** False: the buffer is full, wait for `drained`. A process that has gone swallows what is written. */
  write(bytes: Uint8Array): boolean;
  drained(): Promise<void>;
  endInput(): void;
  kill(signal: number): void;
}

const HIGH_WATER_BYTES = 1 << 20;

/** In a session of its own, so that a Ctrl-C at our terminal is ours to pass on. `env` is its whole environment. */
export function spawnPiped(
  argv: readonly [string, ...string[]],
  options: { readonly env: Readonly<Record<string, string>>; readonly cwd: string },
): PipedProcess {
  const child = Bun.spawn([...argv], {
    env: { ...options.env },
    cwd: options.cwd,
    detached: true,
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  registerChild(child, "tool");
  let flushed: Promise<unknown> = Promise.resolve();
  let pendingBytes = 0;
  let isEnded = false;
  return {
    pid: child.pid,
    exited: child.exited.then(() => exitStatusOf(child)),
    stdout: child.stdout,
    stderr: child.stderr,
    write: (bytes) => {
      if (isEnded) return true;
      pendingBytes += bytes.byteLength;
      child.stdin.write(bytes);
      flushed = flushed
        .then(() => child.stdin.flush())
        .catch(() => undefined)
        .then(() => {
          pendingBytes = Math.max(0, pendingBytes - bytes.byteLength);
        });
      return pendingBytes < HIGH_WATER_BYTES;
    },
    drained: async () => {
      await flushed;
    },
    endInput: () => {
      if (isEnded) return;
      isEnded = true;
      void flushed.then(() => child.stdin.end()).catch(() => undefined); // it has gone: nobody misses the end
    },
    kill: (signal) => {
      if (child.exitCode === null && child.signalCode === null) sendSignal(child.pid, signal);
    },
  };
}

/** Lines with their line end; what is left at the end comes as it is. */
export async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let rest: Buffer[] = [];
  for await (const chunk of stream) {
    let bytes = Buffer.from(chunk);
    for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10)) {
      yield Buffer.concat([...rest, bytes.subarray(0, at + 1)]);
      rest = [];
      bytes = bytes.subarray(at + 1);
    }
    if (bytes.byteLength > 0) rest.push(bytes);
  }
  if (rest.length > 0) yield Buffer.concat(rest);
}
