/** `berth pmix-host FILE`: started by step daemons only. */
import { runPmixHost } from "#platform/pmix-host.ts";

export async function pmixHost(argv: readonly string[]): Promise<number> {
  await runPmixHost(argv[0] ?? "");
  return 0;
}
