/**
 * Looking at an image's root file system from outside. Symbolic links in it are the image's: each is followed as
 * if the image were `/`, so that none leads to a file of the host.
 */
import { constants, lstatSync, readlinkSync, statSync, type Stats } from "node:fs";
import { join } from "node:path/posix";
import type { Environment } from "./environment.ts";

export type FoundPath =
  | { readonly kind: "found"; readonly hostPath: string; readonly isDirectory: boolean; readonly mode: number }
  /** `parent` is the deepest existing directory, as a path on the host and inside. */
  | { readonly kind: "missing"; readonly parent: string; readonly parentInside: string }
  /** A loop of links, a file in the middle of the path, or no permission to look. */
  | { readonly kind: "unknown" };

/** As the kernel: 40 links, then ELOOP. */
const MAX_LINKS = 40;

/** Where `inside`, an absolute path of the container, is in `rootfs`. What may change it meanwhile is the user's own doing. */
export function findInRootfs(rootfs: string, inside: string): FoundPath {
  let pending = parts(inside);
  let real: string[] = [];
  let links = 0;
  let mode = modeOf(() => statSync(rootfs, { throwIfNoEntry: false }));
  if (typeof mode !== "number" || !isDirectory(mode)) return { kind: "unknown" };
  while (pending.length > 0) {
    if (!isDirectory(mode)) return { kind: "unknown" };
    const [name, ...rest] = pending as [string, ...string[]];
    pending = rest;
    if (name === "..") {
      real.pop();
      mode = DIRECTORY;
      continue;
    }
    const path = join(rootfs, ...real, name);
    const next = modeOf(() => lstatSync(path, { throwIfNoEntry: false }));
    if (next === "denied") return { kind: "unknown" };
    if (next === "missing") return { kind: "missing", parent: join(rootfs, ...real), parentInside: `/${real.join("/")}` };
    if (!isLink(next)) {
      real.push(name);
      mode = next;
      continue;
    }
    if (++links > MAX_LINKS) return { kind: "unknown" };
    let target: string;
    try {
      target = readlinkSync(path);
    } catch {
      return { kind: "unknown" };
    } // replaced meanwhile: the runtime will see
    if (target.startsWith("/")) real = [];
    pending = [...parts(target), ...pending];
    mode = DIRECTORY; // a link lives in one, and a link's target starts in one
  }
  return { kind: "found", hostPath: join(rootfs, ...real), isDirectory: isDirectory(mode), mode };
}

const DIRECTORY = constants.S_IFDIR | 0o755;
const isDirectory = (mode: number) => (mode & constants.S_IFMT) === constants.S_IFDIR;
const isLink = (mode: number) => (mode & constants.S_IFMT) === constants.S_IFLNK;

function modeOf(stat: () => Stats | undefined): number | "missing" | "denied" {
  try {
    return stat()?.mode ?? "missing";
  } catch {
    return "denied";
  } // EACCES, ENAMETOOLONG, a NUL: the runtime will say so
}

function parts(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

/**
 * The program's path inside, when the image's PATH finds it; otherwise the word as it came, so that the runtime
 * says what is wrong with it. Slurm looks on the host instead (oci-conf §10.3), which misses what only the image has.
 * @param hidden true for paths that a mount covers: what is there cannot be seen from here
 */
export function resolveCommand(rootfs: string, word: string, env: Environment, hidden: (inside: string) => boolean): string {
  if (word === "" || word.includes("/")) return word;
  for (const dir of (env["PATH"] ?? "").split(":").slice(0, MAX_PATH_DIRS)) {
    if (!dir.startsWith("/")) return word; // relative to the container's working directory: the runtime's business
    const candidate = join(dir, word);
    if (hidden(candidate)) return word;
    const found = findInRootfs(rootfs, candidate);
    if (found.kind === "unknown") return word;
    if (found.kind === "found" && !found.isDirectory && (found.mode & 0o111) !== 0) return candidate;
  }
  return word;
}

const MAX_PATH_DIRS = 64;
