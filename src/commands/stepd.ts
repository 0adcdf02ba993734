/** `berth stepd SOCKET`: started by the controller only. */
import { runStepDaemon } from "#step/stepd.ts";

export async function stepd(argv: readonly string[]): Promise<number> {
  await runStepDaemon(argv[0] ?? "");
  return 0;
}
