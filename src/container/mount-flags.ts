/**
 * Flags that a user namespace may not take away. A read-only bind is a remount, and one that would clear nosuid,
 * nodev or noexec of the source's file system is refused (mount_namespaces(7), "Restrictions"); runc 1.1 does not
 * add them by itself, and /tmp and /run/user usually have them.
 */
import { readFileSync, realpathSync } from "node:fs";

const LOCKED = ["nosuid", "nodev", "noexec"];

export class MountTable {
  readonly #entries: readonly { readonly point: string; readonly flags: readonly string[] }[];

  /** @param text of /proc/self/mountinfo (proc(5)): mount point and options are the fifth and sixth fields */
  constructor(text: string) {
    this.#entries = text.split("\n").flatMap((line) => {
      const [, , , , point, options] = line.split(" ");
      if (point === undefined || options === undefined) return [];
      return [
        {
          point: point.replace(/\\([0-7]{3})/g, (_whole, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
          flags: LOCKED.filter((flag) => options.split(",").includes(flag)),
        },
      ];
    });
  }

  /** Of the file system that holds `path`; a later mount lies over an earlier one. */
  flagsOf(path: string): readonly string[] {
    let real: string;
    try {
      real = realpathSync(path);
    } catch {
      return [];
    } // not there: the runtime will say so
    let best: { readonly point: string; readonly flags: readonly string[] } = { point: "", flags: [] };
    for (const entry of this.#entries) {
      const covers = entry.point === "/" || real === entry.point || real.startsWith(`${entry.point}/`);
      if (covers && entry.point.length >= best.point.length) best = entry;
    }
    return best.flags;
  }
}

let table: { readonly text: string; readonly table: MountTable } | undefined;

/** The mounts as they are; parsed again only when they changed. Empty where there is no /proc. */
export function readMountTable(): MountTable {
  let text = "";
  try {
    text = readFileSync("/proc/self/mountinfo", "utf8");
  } catch {
    /* then the runtime says what it cannot do */
  }
  if (table?.text !== text) table = { text, table: new MountTable(text) };
  return table.table;
}
