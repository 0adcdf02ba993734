/**
 * Mounts whose mount points the image lacks. A runtime makes a missing mount point by itself, inside the image: that
 * writes into a bundle that others may share, and fails in one that may not be written. So where one is missing, the
 * deepest directory that exists is covered:
 *
 * - an empty one with a tmpfs, in which the runtime makes the mount point;
 * - another one that the user may not write, with an overlay of two read-only layers: the image's directory below, and
 *   above it one of ours that holds nothing but the mount points (Linux 5.11 for users);
 * - one that he may write is left to the runtime, as Slurm leaves all of them.
 */
import { closeSync, constants, mkdirSync, openSync, readdirSync, rmSync, statSync } from "node:fs";
import { release } from "node:os";
import { join, normalize } from "node:path/posix";
import { canAccess } from "#platform/system.ts";
import { findInRootfs } from "./rootfs.ts";
import { isObject, toJson, type Json } from "./json.ts";

export interface WantedMount {
  readonly destination: string;
  readonly source: string;
  readonly options: readonly string[];
  readonly type?: string;
}

export class MountPlan {
  readonly #rootfs: string;
  /** Normal forms of what the container mounts anyway, and of our covers. */
  readonly #destinations: string[];
  readonly added: Json[] = [];
  /** Where layers of overlays may be made, which the caller removes when no container uses them; null: nowhere. */
  readonly #layersDir: string | null;
  readonly #covered = new Set<string>();
  /** Covered directory → our layer over it. */
  readonly #layers = new Map<string, string>();

  constructor(rootfs: string, mounts: readonly Json[], layersDir: string | null = null) {
    this.#layersDir = layersDir;
    this.#rootfs = rootfs;
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
    this.#cover(mount);
    this.added.push(toJson({ destination: mount.destination, type: mount.type ?? "none", source: mount.source, options: mount.options }));
    this.#destinations.push(clean(mount.destination));
  }

  /**
   * Covers for mounts of config.json itself whose mount points are missing where the user may not make them. They belong
   * before all other mounts. To be called before `add`.
   */
  coversFor(mounts: readonly Json[]): readonly Json[] {
    const earlier: string[] = [];
    for (const mount of mounts) {
      const destination = isObject(mount) ? mount.get("destination") : undefined;
      if (!isObject(mount) || typeof destination !== "string" || !destination.startsWith("/")) continue;
      const place = clean(destination);
      const isOnAnother = earlier.some((other) => isWithin(place, other));
      earlier.push(place);
      const [source, options] = [mount.get("source"), mount.get("options")];
      const isBind = Array.isArray(options) && (options.includes("bind") || options.includes("rbind"));
      if (!isOnAnother)
        this.#coverMissing({ destination, source: isBind && typeof source === "string" ? source : "/", options: [] }, { isOurs: false });
    }
    return this.added.splice(0);
  }

  #cover(mount: WantedMount): void {
    if (!this.isHidden(mount.destination) || this.#layerOver(mount.destination) !== undefined) this.#coverMissing(mount, { isOurs: true });
  }

  #layerOver(inside: string): readonly [place: string, layer: string] | undefined {
    return [...this.#layers].find(([place]) => isWithin(clean(inside), place));
  }

  /** @param isOurs the mount comes after those of config.json; otherwise it is one of them, and the cover comes first */
  #coverMissing(mount: WantedMount, { isOurs }: { readonly isOurs: boolean }): void {
    const inside = mount.destination;
    const layered = this.#layerOver(inside);
    if (layered !== undefined) {
      makeMountPoint(layered[1], clean(inside).slice(layered[0].length), mount.source);
      return;
    }
    const found = findInRootfs(this.#rootfs, inside);
    if (found.kind !== "missing" || found.parentInside === "/") return;
    if (!isOurs && isWritable(found.parent)) return;
    let isEmpty: boolean;
    try {
      isEmpty = readdirSync(found.parent).length === 0;
    } catch {
      return;
    } // not ours to list: the runtime will say so
    const place = found.parentInside;
    // Mount points of the container below the covered directory would be covered too.
    if (isOurs && this.#destinations.some((destination) => isWithin(destination, clean(place)))) return;
    if (this.#covered.has(clean(place))) return; // a tmpfs of ours, in which the runtime can make it
    if (isEmpty) this.#coverWithTmpfs(place);
    else if (!isWritable(found.parent)) this.#coverWithOverlay(place, found.parent, mount);
    else return; // the user's own image: the runtime makes the mount point in it
    this.#covered.add(clean(place));
    if (isOurs) this.#destinations.push(clean(place));
  }

  #coverWithTmpfs(place: string): void {
    const parent = findInRootfs(this.#rootfs, place);
    const mode = parent.kind === "found" ? (parent.mode & 0o7777).toString(8) : "755";
    this.added.push(toJson({ destination: place, type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", `mode=${mode}`] }));
  }

  #coverWithOverlay(place: string, host: string, mount: WantedMount): void {
    if (this.#layersDir === null || !hasOverlay()) return;
    const layer = join(this.#layersDir, `layer-${this.#layers.size}`);
    if (/[,:\\]/.test(layer + host)) return; // overlay's options have these for themselves
    rmSync(layer, { recursive: true, force: true }); // of a life of this step that crashed
    mkdirSync(layer, { recursive: true, mode: 0o755 });
    makeMountPoint(layer, clean(mount.destination).slice(clean(place).length), mount.source);
    this.added.push(toJson({ destination: place, type: "overlay", source: "overlay", options: ["ro", `lowerdir=${layer}:${host}`] }));
    this.#layers.set(clean(place), layer);
  }
}

/** A file for a file, a directory for anything else. */
function makeMountPoint(layer: string, relative: string, source: string): void {
  const path = join(layer, relative);
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  const isFile = statSync(source, { throwIfNoEntry: false })?.isDirectory() === false;
  mkdirSync(isFile ? join(path, "..") : path, { recursive: true, mode: 0o755 });
  if (isFile) closeSync(openSync(path, "a", 0o644));
}

function isWritable(path: string): boolean {
  return canAccess(path, constants.W_OK);
}

/** Users may mount overlays in their own namespaces from Linux 5.11 on. */
function hasOverlay(): boolean {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  return (process.geteuid?.() ?? 0) === 0 || major > 5 || (major === 5 && minor >= 11);
}

function clean(path: string): string {
  const normal = normalize(`/${path}`);
  return normal.length > 1 && normal.endsWith("/") ? normal.slice(0, -1) : normal;
}

function isWithin(path: string, directory: string): boolean {
  return directory !== "/" && (path === directory || path.startsWith(`${directory}/`));
}
