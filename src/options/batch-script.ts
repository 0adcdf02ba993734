/** The text of a batch script: what is refused, and its #SBATCH lines (commands.md §3.1, §3.2). */
import { errorExitOf, type Env } from "./site.ts";
import { UsageError } from "./usage-error.ts";

/**
 * Refuses what Slurm refuses. A directory or a file without content is an empty text.
 * @throws UsageError
 */
export function checkBatchScript(script: string, env: Env): void {
  const lines = complaint(script);
  if (lines !== null)
    throw new UsageError(
      lines.map((line) => `sbatch: error: ${line}`),
      errorExitOf(env),
    );
}

function complaint(script: string): string[] | null {
  if (script === "") return ["Batch script is empty!"];
  if (!script.startsWith("#!")) {
    return [
      "This does not look like a batch script.  The first",
      "line must start with #! followed by the path to an interpreter.",
      "For instance: #!/bin/sh",
    ];
  }
  if (script.includes("\r\n")) {
    return ["Batch script contains DOS line breaks (\\r\\n)", "instead of expected UNIX line breaks (\\n)."];
  }
  if (script.includes("\0")) {
    return ["The Slurm controller does not allow scripts that", "contain a NULL character '\\0'."];
  }
  return null;
}

/** The script that `--wrap=COMMAND` stands for. */
export function wrapScript(command: string): string {
  return `#!/bin/sh\n# This script was created by sbatch --wrap.\n\n${command}\n`;
}

export interface Directives {
  /** The words of all #SBATCH lines of the first component. */
  readonly argv: readonly string[];
  /** `#SBATCH hetjob` was met. */
  readonly hasComponents: boolean;
  /** Lines for stderr, complete. */
  readonly warnings: readonly string[];
}

/**
 * Collects the directives. Reading ends at the first line that is neither blank nor a comment; only `#SBATCH` at
 * the very beginning of a line counts, and `#SLURM`, with a warning.
 */
export function parseSbatchDirectives(script: string): Directives {
  const argv: string[] = [];
  const warnings: string[] = [];
  for (const line of script.split("\n")) {
    if (!/^\s*(#|$)/.test(line)) break;
    const directive = /^#(SBATCH|SLURM)(?=\s)(.*)$/.exec(line);
    if (directive === null) continue;
    const words = splitWords(directive[2] ?? "");
    if (words[0] === "hetjob" || words[0] === "packjob") return { argv, warnings, hasComponents: true };
    argv.push(...words);
    if (directive[1] === "SLURM" && warnings.length === 0) {
      warnings.push("sbatch: error: Change from #SLURM to #SBATCH in your script and verify the options are valid" + " in sbatch");
    }
  }
  return { argv, warnings, hasComponents: false };
}

/** Words as a shell would split them: quotes, backslashes, and a `#` at the start of a word begins a comment. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | null = null;
  let quote = "";
  for (let i = 0; i < text.length; i++) {
    const char = text.charAt(i);
    if (quote !== "") {
      if (char === quote) quote = "";
      else if (char === "\\" && quote === '"' && /["\\]/.test(text.charAt(i + 1))) word += text.charAt(++i);
      else word += char;
    } else if (char === " " || char === "\t" || char === "\r") {
      if (word !== null) words.push(word);
      word = null;
    } else if (char === "#" && word === null) break;
    else if (char === "'" || char === '"') {
      quote = char;
      word ??= "";
    } else word = (word ?? "") + (char === "\\" ? text.charAt(++i) : char);
  }
  if (word !== null) words.push(word);
  return words;
}
