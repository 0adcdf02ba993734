/** The one place that picks an engine. */
import { BerthError } from "#job/errors.ts";
import type { Engine } from "#engine/engine.ts";

/** @throws BerthError ENGINE_UNKNOWN */
export async function openEngine(): Promise<Engine> {
  const wanted = process.env["BERTH_ENGINE"] ?? "embedded";
  if (wanted === "embedded") {
    const { EmbeddedEngine } = await import("#engine/embedded/client.ts");
    return new EmbeddedEngine();
  }
  throw new BerthError("ENGINE_UNKNOWN", `There is no engine "${wanted}" (BERTH_ENGINE)`, { hint: "engines: embedded" });
}
