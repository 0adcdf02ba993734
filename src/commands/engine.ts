/** The one place that picks an engine. */
import { BerthError } from "#job/errors.ts";
import type { Engine } from "#engine/engine.ts";
import { settingIn } from "#options/conf-lines.ts";
import { baseName } from "#options/path.ts";
import { findBerthConf } from "#platform/berth-conf.ts";
import { ACCESS, canAccess } from "#platform/system.ts";
import { complain } from "./terminal.ts";
import { findRestAddress } from "#engine/slurm/rest/access.ts";
import { findSiteProgram } from "#engine/slurm/programs.ts";

export interface EngineChoice {
  readonly engine: "embedded" | "slurm";
  /** In words, for `berth info`. */
  readonly reason: string;
}

const SITE_CONF = "/etc/slurm/slurm.conf";

/**
 * BERTH_ENGINE (`--engine` sets it), then `Engine=` in berth.conf, then what is there: a configured Slurm with commands of
 * its own, else the embedded engine. Cheap: every command asks.
 * @throws BerthError ENGINE_UNKNOWN, CONFIG
 */
export function chooseEngine(): EngineChoice {
  const wanted = process.env["BERTH_ENGINE"];
  if (wanted !== undefined && wanted !== "" && wanted !== "auto")
    return { engine: known(wanted, "BERTH_ENGINE"), reason: `BERTH_ENGINE=${wanted}` };
  const configured = wanted === "auto" ? undefined : configuredEngine();
  if (configured !== undefined) return configured;
  const conf = process.env["SLURM_CONF"];
  const rest = baseName(conf ?? "") === "berth.conf" ? undefined : findRestAddress();
  if (rest !== undefined) return { engine: "slurm", reason: rest.reason };
  // Jobs of the embedded engine have SLURM_CONF too: it names berth.conf.
  if (conf !== undefined && conf !== "") {
    if (baseName(conf) === "berth.conf") return { engine: "embedded", reason: "SLURM_CONF names a berth.conf" };
    if (findSiteProgram("srun") === undefined)
      return { engine: "embedded", reason: "SLURM_CONF is set, but Slurm's commands are not installed" };
    return { engine: "slurm", reason: `SLURM_CONF=${conf}` };
  }
  if (!canAccess(SITE_CONF, ACCESS.exists)) return { engine: "embedded", reason: "the default: no Slurm is configured here" };
  if (findSiteProgram("srun") === undefined)
    return { engine: "embedded", reason: `${SITE_CONF} exists, but Slurm's commands are not installed` };
  return { engine: "slurm", reason: `${SITE_CONF} exists and Slurm's commands are installed` };
}

function known(name: string, where: string): EngineChoice["engine"] {
  if (name === "embedded" || name === "slurm") return name;
  throw new BerthError("ENGINE_UNKNOWN", `There is no engine "${name}" (${where})`, { hint: "engines: embedded, slurm, auto" });
}

function configuredEngine(): EngineChoice | undefined {
  const { file, text } = findBerthConf();
  const name = settingIn(text, "Engine")?.toLowerCase();
  return name === undefined || name === "auto"
    ? undefined
    : { engine: known(name, `Engine in ${file}`), reason: `Engine=${name} in ${file}` };
}

/**
 * Slurm's own commands look for a file that SLURM_CONF names again and again, for a minute: it stays set after `berth cluster down`.
 * @throws BerthError SLURM_CONFIG
 */
export function checkSlurmConf(): void {
  const conf = process.env["SLURM_CONF"];
  if (conf === undefined || conf === "" || canAccess(conf, ACCESS.exists)) return;
  throw new BerthError("SLURM_CONFIG", `SLURM_CONF names ${conf}, which is not there`, {
    hint: "unset SLURM_CONF, or set it to a cluster's; a private cluster: berth cluster up",
  });
}

/** @throws BerthError ENGINE_UNKNOWN */
export async function openEngine(): Promise<Engine> {
  if (chooseEngine().engine === "slurm") {
    const address = findRestAddress();
    if (address !== undefined) {
      const [{ RestEngine }, { readToken }] = await Promise.all([
        import("#engine/slurm/rest/client.ts"),
        import("#engine/slurm/rest/token.ts"),
      ]);
      return new RestEngine(address, readToken());
    }
    const { SlurmEngine } = await import("#engine/slurm/client.ts");
    return new SlurmEngine();
  }
  const { EmbeddedEngine } = await import("#engine/embedded/client.ts");
  return new EmbeddedEngine({ onStart: warnOfConfig });
}

/** The controller has read berth.conf in the background, where nobody hears it: whoever made it start does. */
async function warnOfConfig(): Promise<void> {
  const { readConfig } = await import("#engine/embedded/config.ts");
  try {
    complain(...readConfig().warnings.map((warning) => `berth: warning: ${warning}`));
  } catch {
    // changed this very moment; the controller has read another one
  }
}

/** The same for what must not start a controller. */
export async function openRunningEngine(): Promise<Engine | undefined> {
  if (chooseEngine().engine === "slurm") return await openEngine();
  const { EmbeddedEngine, findController } = await import("#engine/embedded/client.ts");
  return (await findController()) ? new EmbeddedEngine() : undefined;
}

/** Whether the slurm engine speaks to slurmrestd, so that our own commands are used and not the site's. */
export function isThroughRest(): boolean {
  return findRestAddress() !== undefined;
}

const LIVE_STEP_COMMANDS: readonly string[] = ["srun", "salloc", "sattach", "sbcast", "sstat"];

/** @throws BerthError NOT_SUPPORTED for what slurmrestd cannot carry: streams, and what is held while a command runs */
export function refuseLiveStep(name: string): void {
  if (!LIVE_STEP_COMMANDS.includes(name)) return;
  throw new BerthError("NOT_SUPPORTED", `slurmrestd cannot carry ${name}: it has no way for a live step`, {
    hint: "use sbatch, or run it on a login host of the cluster, without BERTH_SLURM_REST",
  });
}
