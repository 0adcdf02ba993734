/**
 * A listener whose socket may be taken away while it is needed: the runtime directory goes with the user's last session, the processes below it do not
 * (systemd-logind). `renew` makes it again: at the same path, else in the directory that is the user's by now.
 */
import { lstatSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { directories } from "./directories.ts";
import { ensurePrivateDir } from "./private-directory.ts";
import { listenFrames, type FrameConnection } from "./frames.ts";

export class LastingListener {
  readonly #onConnection: (connection: FrameConnection) => void;
  #path: string;
  #server: { stop(): void };
  #inode: number | undefined;
  #isStopped = false;

  /** What a killed process has left at `path` is removed. */
  constructor(path: string, onConnection: (connection: FrameConnection) => void) {
    this.#onConnection = onConnection;
    this.#path = path;
    this.#server = this.#listen(path);
  }

  #listen(path: string): { stop(): void } {
    rmSync(path, { force: true });
    const server = listenFrames(path, this.#onConnection);
    this.#path = path;
    this.#inode = inodeOf(path);
    return server;
  }

  /** Does nothing when the socket is in its place. Connections that are open stay. */
  renew(): void {
    if (this.#isStopped || inodeOf(this.#path) === this.#inode) return;
    this.#server.stop(); // first, because it removes whatever is at its path
    for (const path of new Set([this.#path, renewedPath(this.#path)])) {
      try {
        ensurePrivateDir(dirname(path));
        this.#server = this.#listen(path);
        return;
      } catch {
        // The other place, or the next time.
      }
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.#server.stop();
    if (inodeOf(this.#path) === this.#inode) rmSync(this.#path, { force: true });
  }
}

/** Where a step's socket is looked for by a controller that does not know the runtime directory of then. */
export function renewedPath(path: string): string {
  return join(directories().runtime, basename(dirname(path)), basename(path));
}

/** Undefined when there is no such file, or no way to it. */
export function inodeOf(path: string): number | undefined {
  try {
    return lstatSync(path).ino;
  } catch {
    return undefined;
  }
}
