// Checks the layout that .editorconfig asks for: line ends, blanks at line ends, final newline, no tabs, line length.
// There is no formatter on purpose: one would break up the single-line switch cases and aligned tables of this code.
// Usage: bun scripts/layout.ts [--fix]
import { readFileSync, writeFileSync } from "node:fs";

const MAX_COLUMNS = 160; // .editorconfig says 120, which tables of options and messages may exceed
const fix = process.argv.includes("--fix");
const listing = Bun.spawnSync(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
const listed = listing.success
  ? listing.stdout.toString().split("\0")
  : [...new Bun.Glob("{src,test,bench,scripts,docs}/**/*").scanSync({ onlyFiles: true })]; // a copy without .git

let complaints = 0;
for (const file of new Set(listed)) {
  if (!/\.(ts|md|json|sh)$|^scripts\//.test(file) || file === "package-lock.json" || file.startsWith("test/golden/slurm-")) {
    continue;
  }
  let text: string;
  try { text = readFileSync(file, "utf8"); } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") continue; // deleted, and git does not know yet
    throw error;
  }
  // A test may compare with a command's output, whose blanks at line ends are part of the contract.
  const mayHaveBlanks = file.endsWith(".test.ts");
  const tidy = text === "" || mayHaveBlanks ? text : `${text.replace(/[ \t\r]+$/gm, "").replace(/\n+$/, "")}\n`;
  if (fix && tidy !== text) { writeFileSync(file, tidy); text = tidy; }
  const complain = (line: number, what: string) => { console.error(`${file}:${line}: ${what}`); complaints++; };
  const lines = text.split("\n");
  for (const [index, line] of lines.entries()) {
    if (!mayHaveBlanks && /[ \t\r]$/.test(line)) complain(index + 1, "blanks at the end of the line");
    if (file.endsWith(".ts") && /^ *\t/.test(line)) complain(index + 1, "tab in the indent");
    if (file.endsWith(".ts") && line.length > MAX_COLUMNS) complain(index + 1, `${line.length} columns, more than ${MAX_COLUMNS}`);
  }
  if (text !== "" && lines.at(-1) !== "") complain(lines.length, "no newline at the end of the file");
  if (text.endsWith("\n\n")) complain(lines.length - 1, "empty lines at the end of the file");
}
if (complaints > 0) {
  console.error(`layout: ${complaints} complaints; scripts/check --fix repairs blanks and final newlines`);
  process.exit(1);
}
