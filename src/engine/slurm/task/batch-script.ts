/**
 * `sbatch --container` on the site's Slurm: the script goes through sbatch as a script, so that its #SBATCH lines, its
 * name and its arguments stay what they are, but a shell outside the container gets hold of it first:
 *
 *   #!/bin/bash                       #!/bin/sh
 *   #SBATCH -n2 --container=/b        #SBATCH -n2
 *   echo hello                        exec … berth task … # berth:batch
 *                                     echo hello
 *
 * A shell reads its script line by line, and exec ends that; on the node `restore` gives the script back for the container.
 */
const MARK = " # berth:batch";

export interface WrappedScript {
  readonly text: string;
  /** The interpreter line that `restoreScript` needs. */
  readonly firstLine: string;
}

/**
 * @param command a line for sh(1) that runs the task; `"$0" "$@"` are the script and its arguments
 * @param directives the script's #SBATCH lines as they shall be, by line number; others stay as they are
 */
export function wrapBatchScript(
  script: string,
  command: (firstLine: string) => string,
  directives: ReadonlyMap<number, string>,
): WrappedScript {
  const lines = script.split("\n");
  const [firstLine = ""] = lines;
  let end = 1;
  while (end < lines.length && /^\s*(#|$)/.test(lines[end] ?? "")) end++;
  const head = lines.slice(1, end).map((line, index) => directives.get(index + 1) ?? line);
  return { text: ["#!/bin/sh", ...head, `${command(firstLine)}${MARK}`, ...lines.slice(end)].join("\n"), firstLine };
}

export function restoreScript(text: string, firstLine: string): string {
  const lines = text.split("\n");
  const at = lines.findIndex((line) => line.endsWith(MARK));
  return [firstLine, ...lines.slice(1, at), ...lines.slice(at + 1)].join("\n");
}
