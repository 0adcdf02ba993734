/**
 * A copy of the runtime in memory, ready to be executed. runc and crun never let a container have the file that they are (a container
 * could overwrite it: CVE-2019-5736), so each start of one copies it first: 6 ms of an unprivileged runc's 24. One that is executed from
 * a sealed copy sees that and does not. The controller keeps the copy for all step daemons, which get it with their orders.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { shellCode } from "#job/outcome.ts";
import { runChild } from "#platform/child.ts";
import { makeSealedCopy, openSealedCopy, type SealedCopy } from "#platform/sealed-copy.ts";
import { closeFd } from "#platform/system.ts";

export interface RuntimeCopy {
  /** The runtime's path. */
  readonly source: string;
  /** Which file was there. */
  readonly stamp: string;
  /** Of the copy. */
  readonly path: string;
}

/** Of the two that we choose, the bigger one has 15 MB. */
const MAX_BYTES = 64 * 1024 * 1024;

/** The copy is asked for its version, to see whether it runs at all. */
const VERSION_MS = 10_000;

export class RuntimeCopyKeeper {
  #kept: { readonly copy: RuntimeCopy; readonly file: SealedCopy } | undefined;
  #making: string | undefined;

  get current(): RuntimeCopy | null {
    return this.#kept?.copy ?? null;
  }

  /** From now on there is a copy of this one, if there can be. */
  async keep(source: string): Promise<void> {
    const stamp = stampOf(source);
    const known = this.#kept?.copy;
    if (stamp === undefined || (known?.source === source && known.stamp === stamp) || this.#making === stamp || isBoundToPath()) return;
    this.#making = stamp;
    const file = await copyThatRuns(source);
    if (this.#making !== stamp) {
      file?.[Symbol.dispose](); // another one is wanted meanwhile
      return;
    }
    this.#making = undefined;
    if (file === undefined) return;
    this.#kept?.file[Symbol.dispose]();
    this.#kept = { copy: { source, stamp, path: file.path }, file };
  }
}

/** Undefined where it would not do: on this kernel, with these security modules, or of this program, which may look for others beside its file. */
async function copyThatRuns(source: string): Promise<SealedCopy | undefined> {
  let file: SealedCopy | undefined;
  try {
    file = makeSealedCopy(source);
    const { signal } = new AbortController();
    const version = await runChild([file.path, "--version"], { env: {}, cwd: "/", signal, timeoutMs: VERSION_MS });
    if (shellCode(version.status) === 0) return file;
  } catch {
    // The runtime makes its own copy then, as it always does.
  }
  file?.[Symbol.dispose]();
  return undefined;
}

/** Undefined for what is not there, or too big. */
function stampOf(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined || stat.size > MAX_BYTES ? undefined : `${stat.dev}:${stat.ino}:${stat.mtimeMs}:${stat.size}`;
}

/** What the runtime may do goes by the path that is executed: SELinux's label, or AppArmor's leave to make user namespaces. */
function isBoundToPath(): boolean {
  if (existsSync("/sys/fs/selinux/enforce")) return true;
  try {
    return readFileSync("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "latin1").trim() !== "0";
  } catch {
    return false; // a kernel without that rule
  }
}

let told: RuntimeCopy | null = null;
let opened: { readonly path: string; readonly fd: number | undefined } | undefined;

/** In a step daemon: what the controller keeps. */
export function useRuntimeCopy(copy: RuntimeCopy | null): void {
  told = copy;
}

/** What to execute for the runtime at `source`, by this process alone; undefined: the runtime itself. */
export function runtimeCopyOf(source: string): string | undefined {
  if (told?.source !== source || told.stamp !== stampOf(source)) return undefined;
  if (opened?.path !== told.path) {
    if (opened?.fd !== undefined) closeFd(opened.fd);
    opened = { path: told.path, fd: openSealedCopy(told.path) };
  }
  return opened.fd === undefined ? undefined : `/proc/self/fd/${opened.fd}`;
}
