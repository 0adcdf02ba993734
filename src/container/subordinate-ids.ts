/**
 * Images whose files belong to several users: unpacked in a user namespace (podman, umoci, mmdebstrap), so that they are
 * owned by the user's subordinate ids (subuid(5)). Such an image needs the whole range mapped, which runtimes have done by
 * newuidmap(1). An image of one owner does not, and starts quicker without.
 */
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "#platform/find-program.ts";

export interface IdRange {
  readonly start: number;
  readonly count: number;
}
export interface SubordinateIds {
  readonly uids: IdRange;
  readonly gids: IdRange;
}

const TOOL_PATH = "/usr/bin:/usr/local/bin:/bin";
const MAX_LOOKS = 200;

/** The user's ranges, when the image needs them and this host can map them. */
export function subordinateIdsFor(rootfs: string, user: { readonly name: string; readonly uid: number }): SubordinateIds | null {
  const uids = findRange("/etc/subuid", user);
  const gids = findRange("/etc/subgid", user);
  if (uids === undefined || gids === undefined || !isOwnedBy(rootfs, uids)) return null;
  return ["newuidmap", "newgidmap"].every((tool) => findProgram(tool, TOOL_PATH) !== undefined) ? { uids, gids } : null;
}

/** The first range of the user in a file of `name:start:count` lines. */
export function findRange(file: string, { name, uid }: { readonly name: string; readonly uid: number }): IdRange | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return undefined;
  } // a host without subordinate ids
  for (const line of text.split("\n")) {
    const [owner, start = "", count = ""] = line.split(":");
    if ((owner === name || owner === String(uid)) && /^[1-9][0-9]{0,9}$/.test(start) && /^[1-9][0-9]{0,9}$/.test(count.trim()))
      return { start: Number(start), count: Number(count) };
  }
  return undefined;
}

/** Looks where other users' files usually are: the root, its directories, and what is in those. Bounded. */
function isOwnedBy(rootfs: string, range: IdRange): boolean {
  let looks = 0;
  const isIn = (path: string): boolean => {
    if (++looks > MAX_LOOKS) return false;
    try {
      const { uid } = lstatSync(path);
      return uid >= range.start && uid < range.start + range.count;
    } catch {
      return false;
    } // not ours to look at
  };
  const names = (dir: string): readonly string[] => {
    try {
      return readdirSync(dir);
    } catch {
      return [];
    }
  };
  if (isIn(rootfs)) return true;
  const top = names(rootfs);
  if (top.some((name) => isIn(join(rootfs, name)))) return true;
  return ["var", "home", "etc", "var/lib", "var/cache", "var/log"].some((dir) =>
    names(join(rootfs, dir)).some((name) => isIn(join(rootfs, dir, name))),
  );
}
