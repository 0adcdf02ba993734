/** `berth info`: which engine answers, and where things are. */
import { enginePaths } from "#engine/embedded/paths.ts";
import { openEngine } from "./engine.ts";
import { printLines } from "./terminal.ts";

export async function info(argv: readonly string[]): Promise<number> {
  if (argv.includes("--help") || argv.includes("-h")) {
    printLines(["Usage: berth info [--json]", "Says which engine is in use and where its files are."]);
    return 0;
  }
  await using engine = await openEngine();
  const found = await engine.info({ signal: new AbortController().signal });
  const paths = enginePaths();
  const facts = {
    engine: found.engine,
    reason: process.env["BERTH_ENGINE"] === undefined ? "the default" : "BERTH_ENGINE says so",
    version: found.version,
    cluster: found.clusterName,
    host: found.host,
    configuration: found.configFile,
    state: paths.state,
    runtime: paths.runtime,
  };
  printLines(argv.includes("--json") ? [JSON.stringify(facts, null, 2)] : Object.entries(facts).map(([name, value]) => `${`${name}:`.padEnd(15)}${value}`));
  return 0;
}
