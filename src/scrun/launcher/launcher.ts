/** The program called scrun that `berth link` makes: a shell script in front of this executable (launcher.sh). */
import { lstatSync, readFileSync } from "node:fs";
import TEXT from "./launcher.sh" with { type: "text" };

const MARK = "# scrun of Berth.";
const TARGET = /^berth='(.*)'$/m;

/** @param berth absolute path of the executable */
export function launcherFor(berth: string): string {
  return TEXT.replace("'@BERTH@'", () => quote(berth));
}

/** The executable behind a launcher; undefined when the file is none. */
export function targetOfLauncher(path: string): string | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isFile() !== true || stat.size > 2 * TEXT.length + 8192) return undefined;
  const text = readFileSync(path, "utf8");
  if (!text.includes(MARK)) return undefined;
  return TARGET.exec(text)?.[1]?.replaceAll("'\\''", "'");
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
