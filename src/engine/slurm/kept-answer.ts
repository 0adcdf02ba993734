/**
 * What the site was asked once and need not be asked with every command, because asking costs a process and a connection: one small file
 * for each question in the state directory. It is asked again when what the answer hangs on has changed, or when the answer is old.
 */
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { directories } from "#platform/directories.ts";
import { ensurePrivateDir } from "#platform/private-directory.ts";

/** @param about a file that the answer hangs on; without it every answer is asked for */
export function keptAnswer(
  question: string,
  { about, maxAgeMs, ask }: { readonly about: string; readonly maxAgeMs: number; readonly ask: () => string },
): string {
  const stat = statSync(about, { throwIfNoEntry: false });
  if (stat === undefined) return ask();
  const print = `${about} ${stat.size} ${stat.mtimeMs} ${stat.ino}`;
  const file = join(directories().state, `site-${question}`);
  try {
    const text = readFileSync(file, "utf8");
    const age = Date.now() - statSync(file).mtimeMs;
    // Clocks have coarser steps than file systems, so that it may seem to be of the future.
    if (text.startsWith(`${print}\n`) && Math.abs(age) < maxAgeMs) return text.slice(print.length + 1);
  } catch {
    // never asked before
  }
  const answer = ask();
  if (answer.trim() === "") return answer; // it did not answer
  const part = `${file}.part-${process.pid}`;
  try {
    ensurePrivateDir(directories().state);
    writeFileSync(part, `${print}\n${answer}`, { mode: 0o600 });
    renameSync(part, file);
  } catch {
    rmSync(part, { force: true }); // a full disk: asked again the next time
  }
  return answer;
}
