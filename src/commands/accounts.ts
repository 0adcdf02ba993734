/** sacctmgr and sshare, for tools that look whether an account is needed (commands.md §13): no accounts are kept here. */
import { BerthError } from "#job/errors.ts";
import { parseSacctmgr, parseSshare } from "#options/accounts.ts";
import { renderEntities, renderShares, shareHelpFormat } from "#format/accounts.ts";
import type { ReportStyle } from "#format/report.ts";
import { isThroughRest, openEngine } from "./engine.ts";
import { informationAction } from "./information.ts";
import { UNTIL_ENDED } from "./query.ts";
import { complain, printError, printLines } from "./terminal.ts";

export async function sacctmgr(argv: readonly string[]): Promise<number> {
  const line = parseSacctmgr(argv);
  const informed = await informationAction("sacctmgr", line.action);
  if (informed !== undefined) return informed;
  refuseRest("sacctmgr");
  if (line.entity === null) {
    complain(
      line.verb === ""
        ? "sacctmgr: error: there is no session to type commands into"
        : `sacctmgr: error: cannot ${line.verb}: no accounts are kept here`,
      "hint: sacctmgr list account|association|cluster|qos|tres|user; --account is accepted as it is",
    );
    return 1;
  }
  await using engine = await openEngine();
  const { clusterName } = await engine.info(UNTIL_ENDED);
  return print("sacctmgr", () => renderEntities({ ...line, ...styleOf(line), entity: line.entity ?? "user", clusterName }));
}

export async function sshare(argv: readonly string[]): Promise<number> {
  const line = parseSshare(argv);
  const informed = await informationAction("sshare", line.action);
  if (informed !== undefined) return informed;
  if (line.helpFormat) {
    printLines(shareHelpFormat());
    return 0;
  }
  refuseRest("sshare");
  return print("sshare", () => renderShares({ ...line, ...styleOf(line) }));
}

function styleOf(line: { readonly noHeader: boolean; readonly parsable: "closing" | "separating" | null }): ReportStyle {
  const parsable = line.parsable === null ? "none" : line.parsable === "closing" ? "ended" : "separated";
  return { noHeader: line.noHeader, parsable, delimiter: "|" };
}

function print(command: string, render: () => readonly string[]): number {
  try {
    printLines(render());
    return 0;
  } catch (error) {
    return printError(command, error, { exitStatus: 1 });
  }
}

/** The cluster behind slurmrestd has accounts, and to say that it has none would be wrong. */
function refuseRest(command: string): void {
  if (isThroughRest())
    throw new BerthError("NOT_SUPPORTED", `${command} does not work through slurmrestd`, { hint: "use a login host of the cluster" });
}
