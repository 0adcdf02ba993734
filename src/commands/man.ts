/** `berth man`: manual pages out of the option tables. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { VERSION } from "#job/version.ts";
import { MANUAL_NAMES, manualPage } from "#options/manual.ts";
import { complain, printLines } from "./terminal.ts";

const USAGE = `Usage: berth man NAME             prints a page: berth man srun | man -l -
       berth man --dir DIR        writes all of them to DIR/man1; MANPATH=DIR: man srun
Pages: ${MANUAL_NAMES.join(" ")}`;

export function man(argv: readonly string[]): number {
  const [word = "", dir, ...more] = argv;
  if (word === "--help" || word === "-h") {
    printLines([USAGE]);
    return 0;
  }
  if (word === "--dir" && dir !== undefined && more.length === 0) {
    mkdirSync(join(dir, "man1"), { recursive: true });
    for (const name of MANUAL_NAMES) writeFileSync(join(dir, "man1", `${name}.1`), manualPage(name, VERSION) ?? "");
    return 0;
  }
  const page = dir === undefined ? manualPage(word, VERSION) : undefined;
  if (page === undefined) {
    complain("berth: error: man wants the name of a command, or --dir DIR", 'Try "berth man --help" for more information');
    return 255;
  }
  printLines([page.trimEnd()]);
  return 0;
}
