/** `scrun`: the OCI runtime proxy (scrun/scrun.ts). */
import { scrun } from "#scrun/scrun.ts";
import { chooseEngine, isThroughRest, openEngine } from "./engine.ts";
import { printLines } from "./terminal.ts";

export async function scrunCommand(argv: readonly string[]): Promise<number> {
  return await scrun(argv, {
    openEngine,
    print: (text) => printLines([text]),
    isRemote: () => chooseEngine().engine === "slurm" && !isThroughRest(),
  });
}
