/** `berth doctor`: will container jobs run here, and what is in the way. */
import { targetOfLauncher } from "#scrun/launcher/launcher.ts";
import { examine } from "#container/doctor/doctor.ts";
import { findOciConf } from "#container/oci-conf.ts";
import { directories, shortHostName, SITE_CONFIG_DIR } from "#platform/directories.ts";
import { ensurePrivateDir } from "#platform/private-directory.ts";
import { examineEngine } from "./doctor-engine.ts";
import { complain, printLines } from "./terminal.ts";

const USAGE = `Usage: berth doctor [--json]
Asks the engine whether it answers (an embedded one is started if it does not run), and looks at everything that containers
need of this host: what was found, why it matters, and the command that mends it.
Exit status 0 when container jobs will run here, 1 when they will not.`;

/** A site's commands try for ten seconds where nobody answers. */
const ENGINE_MS = 60_000;

const LABELS = { ok: "ok     ", info: "       ", warning: "warning", error: "ERROR  " } as const;

export async function doctor(argv: readonly string[]): Promise<number> {
  if (argv.includes("--help") || argv.includes("-h")) {
    printLines([USAGE]);
    return 0;
  }
  const unknown = argv.find((word) => word !== "--json");
  if (unknown !== undefined) {
    complain(`berth: error: doctor does not know ${JSON.stringify(unknown)}`, 'Try "berth doctor --help" for more information');
    return 255;
  }
  const engine = await examineEngine({ signal: AbortSignal.timeout(ENGINE_MS) });
  const dirs = directories();
  const hasDirectories = engine.every(({ name, state }) => state !== "error" || !name.endsWith("directory"));
  if (hasDirectories) for (const dir of [dirs.runtime, dirs.state]) ensurePrivateDir(dir);
  const host = await examine({
    confFile: findOciConf([dirs.config, SITE_CONFIG_DIR]) ?? null,
    stateDir: dirs.state,
    nodeName: shortHostName(),
    signal: new AbortController().signal,
    triesContainers: hasDirectories,
    targetOfLauncher,
  });
  const diagnoses = [...engine, ...host];
  const works = diagnoses.every(({ state }) => state !== "error");
  if (argv.includes("--json")) {
    printLines([JSON.stringify({ works, diagnoses }, null, 2)]);
    return works ? 0 : 1;
  }
  for (const { name, state, found, why, cure } of diagnoses) {
    printLines([`${LABELS[state]}  ${name.padEnd(18)} ${found}`]);
    if (state === "warning" || state === "error") printLines([`         ${"".padEnd(18)} why: ${why}`]);
    if (cure !== null) printLines([`         ${"".padEnd(18)} ${state === "info" ? "if you want it" : "to mend it"}: ${cure}`]);
  }
  printLines(["", works ? "Container jobs will run here." : "Container jobs will not run here until the ERROR above is mended."]);
  return works ? 0 : 1;
}
