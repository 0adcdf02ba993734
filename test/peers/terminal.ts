// The terminal that script(1) has given to a command.
import { readFileSync, readlinkSync } from "node:fs";
import { type RunningCommand, until } from "../e2e/site.ts";

/** Makes it `rows` × `columns`, as a window's edge that somebody drags: the kernel tells the terminal's foreground. */
export async function resizeTerminal(script: RunningCommand, rows: number, columns: number): Promise<void> {
  const terminal = await until("script's terminal", () => {
    try {
      const [child] = readFileSync(`/proc/${script.pid}/task/${script.pid}/children`, "latin1").trim().split(" ");
      const path = readlinkSync(`/proc/${child}/fd/0`);
      return path.startsWith("/dev/pts/") ? path : undefined;
    } catch {
      return undefined; // not yet
    }
  });
  const stty = Bun.spawnSync(["stty", "-F", terminal, "rows", String(rows), "cols", String(columns)], { timeout: 10_000 });
  if (!stty.success) throw new Error(`stty: ${stty.stderr.toString()}`);
}
