/**
 * `sacct -o …Container…` of a site with slurmdbd. The site's sacct is asked for the same rows with separators and a few columns
 * more, which tell which container each job and step ran in; then they are laid out as the user wants them.
 */
import { ContainerLookup, type Filter } from "#engine/slurm/site/show-containers.ts";
import { parseRequestComment } from "#engine/slurm/site/container-request.ts";
import { SACCT_FIELDS } from "#format/sacct-fields.ts";
import { reportHeader, reportLine, type ReportColumn, type ReportStyle } from "#format/report.ts";
import { SACCT_ROWS } from "#options/sacct.ts";
import { takeOptions } from "#options/take-options.ts";

/** No value has it. */
const SEPARATOR = "\x1f";
/** A submit line may have line ends, so that it is not the last. */
const KEYS = ["Comment", "SubmitLine", "Submit", "JobIDRaw"] as const;
const DEFAULT_WIDTH = 10;

/** Undefined when neither containers nor comments are asked for. */
export function sacctFilter(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): Filter | undefined {
  const take = ["format", "noheader", "parsable", "parsable2", "delimiter"];
  // Words behind the first operand are options too, for sacct: then it is left alone.
  const { kept, taken, given, rest } = takeOptions(SACCT_ROWS, argv, { take, guess: () => false });
  const format = taken.get("format") ?? (given.has("brief") || given.has("long") ? undefined : env["SACCT_FORMAT"]);
  if (format === undefined || rest.length > 0 || given.has("brief") || given.has("long") || given.has("helpformat")) return undefined;
  const asked = format.split(",").map((piece) => piece.trim());
  if (!asked.some((piece) => isContainer(piece) || isComment(piece)) || asked.some((piece) => /^all$/i.test(piece))) return undefined;
  const lookup = new ContainerLookup(env);
  const parsable = argv.findLast((word) => /^(?:-\w*[pP]\w*|--parsable2?)$/.test(word));
  const style: ReportStyle = {
    noHeader: taken.has("noheader"),
    parsable: parsable === undefined ? "none" : /P|2/.test(parsable) ? "separated" : "ended",
    delimiter: taken.get("delimiter") ?? "|",
  };
  const names = asked.map((piece) => piece.split("%", 1)[0] ?? "");
  return {
    argv: [...kept, "--parsable2", `--delimiter=${SEPARATOR}`, `--format=${[...names, ...KEYS].join(",")}`],
    show: (text) => {
      const [header = "", ...lines] = rowsOf(text, asked.length + KEYS.length);
      const titles = header.split(SEPARATOR).slice(0, asked.length);
      const columns = titles.map((name, value): ReportColumn<number> => ({ name, value, width: widthOf(asked[value] ?? "", name) }));
      const shown = [
        ...reportHeader(columns, style),
        ...lines.map((line) => {
          const cells = line.split(SEPARATOR);
          return reportLine(columns, style, (index) => cellOf(cells, { index, title: titles[index] ?? "", own: titles.length, lookup }));
        }),
      ];
      return shown.map((line) => `${line}\n`).join("");
    },
  };
}

/** Each has so many cells, whatever line ends are in them. */
function rowsOf(text: string, cells: number): string[] {
  const rows: string[] = [];
  let row = "";
  for (const line of text.split("\n")) {
    row = row === "" ? line : `${row}\n${line}`;
    if (row.split(SEPARATOR).length < cells) continue;
    rows.push(row);
    row = "";
  }
  return rows;
}

function isContainer(piece: string): boolean {
  return /^conta(?:i(?:n(?:e(?:r)?)?)?)?(?:%|$)/i.test(piece);
}
function isComment(piece: string): boolean {
  return /^com(?:m(?:e(?:n(?:t)?)?)?)?(?:%|$)/i.test(piece);
}

function widthOf(piece: string, name: string): number {
  const said = Number.parseInt(piece.split("%")[1] ?? "", 10);
  if (said !== 0 && !Number.isNaN(said)) return said;
  return SACCT_FIELDS.find((field) => field.name.toLowerCase() === name.toLowerCase())?.width ?? DEFAULT_WIDTH;
}

function cellOf(
  cells: readonly string[],
  { index, title, own, lookup }: { readonly index: number; readonly title: string; readonly own: number; readonly lookup: ContainerLookup },
): string {
  const cell = cells[index] ?? "";
  if (title === "Comment") return parseRequestComment(cell) === undefined ? cell : "";
  if (title !== "Container" || cell !== "") return cell;
  const [comment = "", submitLine = "", since = "", key = ""] = cells.slice(own);
  const facts = lookup.find({ key, comment, since });
  return facts?.container ?? containerOfLine(submitLine, { isStep: key.includes(".") }) ?? "";
}

/** What Slurm keeps of the command line, where no comment is stored and no record can be read: other users' jobs. */
function containerOfLine(line: string, { isStep }: { readonly isStep: boolean }): string | undefined {
  const comment = isStep ? undefined : /--comment=(berth:\{.*?\})(?= |$)/.exec(line)?.[1];
  const request = comment === undefined ? undefined : parseRequestComment(comment);
  return request?.bundle ?? / task --bundle (\/\S+) /.exec(line)?.[1];
}
