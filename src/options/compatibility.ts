/** docs/compatibility.md, out of the option tables (scripts/compatibility writes it). */
import { COMMANDS, type HelpRow } from "./command-tables.ts";
import { IDLE_VARIABLES } from "./idle-variables.ts";
import { JOB_UPDATE_KEYS, NODE_UPDATE_KEYS, PARTITION_UPDATE_KEYS, SCONTROL_VERBS, updateKeyName } from "./scontrol-words.ts";

const INTRODUCTION = `# Which options do what

Written by \`scripts/compatibility\` out of the option tables of \`src/options\`; a test compares the two. Every option of Slurm
22.05, long or short, is in these tables: it does on the embedded engine what it does in Slurm, or it is listed below. What is in
no table is refused with Slurm's own message and exit status (255 for srun, sbatch and salloc, 1 for the others).

On a site's own Slurm (docs/slurm.md) all options go to the site's commands as they were typed; what differs is in the last table.

The values of options without effect are kept with the job as they were typed; numbers must be numbers.`;

export function compatibilityPage(): string {
  const sections = [
    INTRODUCTION,
    "## Accepted without effect on the embedded engine",
    table(["option", "commands", "why"], rowsWith("idle")),
    "## Variables without effect on the embedded engine",
    "Variables that stand for one of the options above change nothing either.",
    table(
      ["variables", "why"],
      IDLE_VARIABLES.map(({ names, why }) => [names.map((name) => `\`${name}\``).join(" "), why]),
    ),
    "## Refused by name on the embedded engine",
    "`CMD: error: --NAME is not supported: WHY`, exit status 1.",
    table(["option", "commands", "why"], rowsWith("refused")),
    "## Different on a site's own Slurm",
    table(["option", "commands", "what happens"], rowsWith("onSlurm")),
    "## scontrol's commands",
    "All others do what they do in Slurm. What is refused says `Requested operation not supported on this system`, exit status 1.",
    table(
      ["command", "embedded engine", "why"],
      SCONTROL_VERBS.flatMap(({ name, idle, refused }) => {
        if (idle !== undefined) return [[`\`${name}\``, "without effect", idle]];
        return refused === undefined ? [] : [[`\`${name}\``, "refused", refused]];
      }),
    ),
    "## Keys of scontrol update",
    "Any other key is refused: `Update of this parameter is not supported: KEY=VALUE`, exit status 1.",
    table(
      ["what", "keys"],
      [
        ["a job in any state", keys("any state")],
        ["a job that waits", keys("waiting")],
        ["a job: refused", keys(null)],
        ["`NodeName=`", NODE_UPDATE_KEYS.join(" ")],
        ["`PartitionName=`", PARTITION_UPDATE_KEYS.join(" ")],
      ],
    ),
  ];
  return `${sections.join("\n\n")}\n`;
}

function keys(when: "any state" | "waiting" | null): string {
  return JOB_UPDATE_KEYS.filter((key) => key.when === when && updateKeyName(key.name) === key.name)
    .map(({ name }) => name)
    .join(" ");
}

/** One line for each option and reason, with all commands that it holds for. */
function rowsWith(field: "idle" | "refused" | "onSlurm"): string[][] {
  const found = new Map<string, { readonly cells: readonly [option: string, why: string]; readonly commands: string[] }>();
  for (const [command, { rows }] of Object.entries(COMMANDS)) {
    for (const row of rows as readonly HelpRow[]) {
      const why = row[field];
      if (why === undefined) continue;
      const option = `\`--${row.name}${row.short === undefined ? "" : `, -${row.short}`}\``;
      const key = `${option} ${why}`;
      const entry = found.get(key) ?? { cells: [option, why], commands: [] };
      entry.commands.push(command);
      found.set(key, entry);
    }
  }
  return [...found.values()]
    .toSorted((a, b) => a.cells[0].localeCompare(b.cells[0], "en"))
    .map(({ cells: [option, why], commands }) => [option, commands.join(" "), why]);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
