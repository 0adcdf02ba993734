/** Manual pages in man(7)'s macros, out of the option tables. Ours, in our words: Slurm's own pages say more about Slurm. */
import { COMMANDS, type HelpCommand, type HelpRow } from "./command-tables.ts";
import { GROUPS } from "./job-option-row.ts";
import { OWN_COMMANDS } from "./own-commands.ts";
import { SCONTROL_VERBS, SHOW_ENTITIES } from "./scontrol-words.ts";

export const MANUAL_NAMES: readonly string[] = ["berth", ...Object.keys(COMMANDS)];

interface ManualRow extends HelpRow {
  readonly env?: Readonly<Partial<Record<string, readonly string[]>>>;
}

/** The page of section 1; undefined when there is none of this name. */
export function manualPage(name: string, version: string): string | undefined {
  if (name === "berth") return page(name, version, berthSections());
  return Object.hasOwn(COMMANDS, name) ? page(name, version, sectionsOf(name as HelpCommand)) : undefined;
}

type Section = readonly [title: string, ...lines: readonly string[]];

function page(name: string, version: string, sections: readonly Section[]): string {
  const head = `.TH ${name.toUpperCase()} 1 "" "Berth ${version}" "Berth"`;
  return `${[head, ...sections.flatMap(([title, ...lines]) => [`.SH ${title}`, ...lines])].join("\n")}\n`;
}

function sectionsOf(command: HelpCommand): Section[] {
  const { operands, about } = COMMANDS[command];
  const rows: readonly ManualRow[] = COMMANDS[command].rows;
  const sections: Section[] = [
    ["NAME", text(`${command} - ${about.charAt(0).toLowerCase()}${about.slice(1).replace(/\.$/, "")}`)],
    ["SYNOPSIS", `.B ${command}`, text(`[options] ${operands}`.trim())],
    [
      "DESCRIPTION",
      text(about),
      text(
        "Options, output and exit status are those of Slurm 22.05; docs/compatibility.md lists what is without effect or refused, and why.",
      ),
    ],
    ...optionSections(rows),
  ];
  if (command === "scontrol")
    sections.push(["COMMANDS", ...SCONTROL_VERBS.flatMap(verbLines)], ["ENTITIES OF SHOW", text(SHOW_ENTITIES.join(" "))]);
  const variables = rows.flatMap((row) => (row.env?.[command] ?? []).map((name) => ({ name, row })));
  if (variables.length > 0) {
    sections.push([
      "ENVIRONMENT",
      text("Each of these stands for an option that is not said."),
      ...variables.flatMap(({ name, row }) => [".TP", `.B ${text(name)}`, text(`--${row.name}`)]),
    ]);
  }
  const others = MANUAL_NAMES.filter((name) => name !== command).map((name) => `.BR ${name} (1)`);
  return [...sections, ["SEE ALSO", ...separated(others)]];
}

function optionSections(rows: readonly ManualRow[]): Section[] {
  const groups = GROUPS.filter((group) => rows.some((row) => row.group === group));
  if (groups.length === 0) return [["OPTIONS", ...rows.flatMap(optionLines)]];
  const lines = groups.flatMap((group) => [`.SS ${group}`, ...rows.filter((row) => row.group === group).flatMap(optionLines)]);
  return [["OPTIONS", ...lines]];
}

function optionLines({ name, short, takes, mayTake, help, idle, refused }: ManualRow): string[] {
  const value = takes !== undefined ? `=\\fI${text(takes)}\\fR` : mayTake !== undefined ? `[=\\fI${text(mayTake)}\\fR]` : "";
  const letter = short === undefined ? "" : `\\fB\\-${short}\\fR, `;
  const note =
    idle !== undefined ? ` Without effect on the embedded engine: ${idle}.` : refused !== undefined ? ` Refused: ${refused}.` : "";
  return [".TP", `${letter}\\fB${text(`--${name}`)}\\fR${value}`, text(`${sentence(help)}${note}`)];
}

function verbLines({ name, operands, help, idle, refused }: (typeof SCONTROL_VERBS)[number]): string[] {
  const note = idle !== undefined ? ` Without effect: ${idle}.` : refused !== undefined ? ` Refused: ${refused}.` : "";
  return [".TP", `\\fB${text(name)}\\fR ${text(operands)}`.trimEnd(), text(`${sentence(help)}${note}`)];
}

function berthSections(): Section[] {
  return [
    ["NAME", text("berth - containers as batch jobs, with Slurm's own commands")],
    ["SYNOPSIS", ".B berth", text("[--engine embedded|slurm|auto] command [arguments]")],
    [
      "DESCRIPTION",
      text(
        "One executable that answers to the names of Slurm's commands, by a link or as its first word, on this machine alone or on a site's own Slurm.",
      ),
    ],
    ["COMMANDS", ...OWN_COMMANDS.flatMap(({ name, operands, help }) => [".TP", `\\fB${name}\\fR ${text(operands)}`, text(`${help}.`)])],
    [
      "ENVIRONMENT",
      ".TP",
      ".B BERTH_ENGINE",
      text("Which engine is used: embedded, slurm or auto."),
      ".TP",
      ".B BERTH_CONF",
      text("Another berth.conf."),
      ".TP",
      ".B BERTH_SLURM_REST",
      text("Address of a slurmrestd to use instead of a site's commands."),
    ],
    ["SEE ALSO", ...separated(Object.keys(COMMANDS).map((name) => `.BR ${name} (1)`))],
  ];
}

function separated(references: readonly string[]): string[] {
  return references.map((line, index) => (index === references.length - 1 ? line : `${line},`));
}

function sentence(help: string): string {
  return `${help.charAt(0).toUpperCase()}${help.slice(1)}${help.endsWith("…") ? "" : "."}`;
}

/** roff takes a dash for a hyphen, a backslash for a command, and a dot or quote at the beginning of a line for a request. */
function text(words: string): string {
  return words
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("…", "...")
    .replace(/^([.'])/, "\\&$1");
}
