/**
 * Mounts that Berth adds to a container. A runtime makes a missing mount point by itself, inside the image: that
 * writes into a bundle that others may share, and fails in one that is read-only. So where a mount point is missing,
 * the deepest directory that exists is covered with a tmpfs, in which its former entries are bound again, and the
 * runtime makes the mount point there. Cost: one mount, and only where the image lacks the place.
 */
import { readdirSync } from "node:fs";
import { join, normalize } from "node:path/posix";
import { findInRootfs } from "./rootfs.ts";
import { isObject, toJson, type Json } from "./json.ts";

export interface WantedMount {
  readonly destination: string;
  readonly source: string;
  readonly options: readonly string[];
  readonly type?: string;
}

/** More entries than this are not bound again: the runtime makes the mount point in the image after all. */
const MAX_ENTRIES = 64;

export class MountPlan {
  readonly #rootfs: string;
  readonly #isReadOnly: boolean;
  /** Normal forms of what the container mounts anyway, and of our covers. */
  readonly #destinations: string[];
  readonly added: Json[] = [];

  constructor(rootfs: string, mounts: readonly Json[], isReadOnly: boolean) {
    this.#rootfs = rootfs;
    this.#isReadOnly = isReadOnly;
    this.#destinations = mounts.flatMap((mount) => {
      const destination = isObject(mount) ? mount.get("destination") : undefined;
      return typeof destination === "string" ? [clean(destination)] : [];
    });
  }

  /** Whether a mount lies over this path, so that the image does not tell what is there. */
  isHidden(inside: string): boolean {
    const path = clean(inside);
    return this.#destinations.some((destination) => isWithin(path, destination));
  }

  /** False when only a new directory in the image's own `/` would do. */
  canPlace(inside: string): boolean {
    if (this.isHidden(inside)) return true;
    const found = findInRootfs(this.#rootfs, inside);
    return found.kind !== "missing" || found.parentInside !== "/";
  }

  add(mount: WantedMount): void {
    this.#cover(mount.destination);
    this.added.push(toJson({ destination: mount.destination, type: mount.type ?? "none", source: mount.source, options: mount.options }));
    this.#destinations.push(clean(mount.destination));
  }

  #cover(inside: string): void {
    if (this.isHidden(inside)) return;
    const found = findInRootfs(this.#rootfs, inside);
    if (found.kind !== "missing" || found.parentInside === "/") return;
    let entries;
    try { entries = readdirSync(found.parent, { withFileTypes: true }); } catch { return; } // not ours to list: the runtime will say so
    if (entries.length > MAX_ENTRIES) return;
    const place = found.parentInside;
    // Mount points of the container below the covered directory would be covered too.
    if (this.#destinations.some((destination) => isWithin(destination, clean(place)))) return;
    const parent = findInRootfs(this.#rootfs, place);
    const mode = parent.kind === "found" ? (parent.mode & 0o7777).toString(8) : "755";
    this.added.push(toJson({ destination: place, type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", `mode=${mode}`] }));
    this.#destinations.push(clean(place));
    for (const entry of entries) {
      if (!entry.isDirectory() && !entry.isFile()) continue; // a link cannot be bound
      this.added.push(toJson({ destination: join(place, entry.name), type: "none", source: join(found.parent, entry.name),
        options: this.#isReadOnly ? ["rbind", "ro"] : ["rbind"] }));
    }
  }
}

function clean(path: string): string {
  const normal = normalize(`/${path}`);
  return normal.length > 1 && normal.endsWith("/") ? normal.slice(0, -1) : normal;
}

function isWithin(path: string, directory: string): boolean {
  return directory !== "/" && (path === directory || path.startsWith(`${directory}/`));
}
