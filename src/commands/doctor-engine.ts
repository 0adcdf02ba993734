/**
 * What `berth doctor` says of the engine behind the commands: whether it answers, and what it needs to. The embedded one is started if it does not
 * run, as any command would start it; a site's Slurm is only asked.
 */
import { accessSync, closeSync, constants, fsyncSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Diagnosis } from "#container/doctor/host.ts";
import { BerthError } from "#job/errors.ts";
import { VERSION } from "#job/version.ts";
import { findBerthConf } from "#platform/berth-conf.ts";
import { directories } from "#platform/directories.ts";
import { ensurePrivateDir } from "#platform/private-directory.ts";
import { chooseEngine, type EngineChoice } from "./engine.ts";
import { errnoWords } from "./errno.ts";

/** Of records; a container image needs far more, elsewhere. */
const LITTLE_SPACE_MIB = 200;
const FEW_FILES = 2000;

/** `signal` bounds what answers late. Never throws for what is wrong with the engine. */
export async function examineEngine({ signal }: { readonly signal: AbortSignal }): Promise<readonly Diagnosis[]> {
  const why = "it keeps jobs, or hands them to who does";
  let choice: EngineChoice;
  try {
    choice = chooseEngine();
  } catch (error) {
    return [failed("engine", why, error)];
  }
  const chosen: Diagnosis = { name: "engine", state: "info", found: `${choice.engine}: ${choice.reason}`, why, cure: null };
  return [chosen, ...(choice.engine === "slurm" ? await examineSite(signal) : await examineEmbedded(signal))];
}

function failed(name: string, why: string, error: unknown): Diagnosis {
  if (!(error instanceof BerthError)) throw error;
  return { name, why, state: "error", found: [error.message, ...error.before].join("; "), cure: error.hint ?? null };
}

// --- this machine ------------------------------------------------------------------------------------------------

async function examineEmbedded(signal: AbortSignal): Promise<Diagnosis[]> {
  const found = [await configuration(), ...stateDirectory(), socketDirectory()];
  // Its own words would be the same ones, from a log.
  return found.some(({ state }) => state === "error") ? found : [...found, await controller(signal)];
}

async function configuration(): Promise<Diagnosis> {
  const why = "it says which nodes and partitions there are, and their limits";
  const name = "berth.conf";
  try {
    const { readConfig } = await import("#engine/embedded/config.ts");
    const { file, nodes, partitions, warnings } = readConfig();
    const isThere = findBerthConf().text !== "";
    const cluster = `${count(nodes.length, "node")}, ${count(partitions.length, "partition")}`;
    if (warnings.length > 0)
      return { name, why, state: "warning", found: warnings.join("; "), cure: `edit ${file}, then: berth daemon restart` };
    return {
      name,
      why,
      state: isThere ? "ok" : "info",
      found: isThere ? `${file}: ${cluster}` : `none: this host is the only node`,
      cure: null,
    };
  } catch (error) {
    return failed(name, why, error);
  }
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}

function stateDirectory(): Diagnosis[] {
  const name = "state directory";
  const why = "a job is accepted when its record is safe on this disk";
  let dir: string;
  try {
    dir = ensurePrivateDir(directories().state);
  } catch (error) {
    return [failed(name, why, error)];
  }
  const cure = "make room there, or set XDG_STATE_HOME to a directory on another file system";
  const probe = join(dir, `.doctor.${process.pid}`);
  try {
    const fd = openSync(probe, "wx", 0o600);
    try {
      writeSync(fd, new Uint8Array(4096));
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    return [{ name, why, state: "error", found: `${dir} cannot be written: ${errnoWords(error)}`, cure }];
  } finally {
    rmSync(probe, { force: true });
  }
  const { bavail, bsize, ffree, files } = statfsSync(dir);
  const freeMib = Math.floor((bavail * bsize) / 2 ** 20);
  const isShort = freeMib < LITTLE_SPACE_MIB || (files > 0 && ffree < FEW_FILES);
  const space = `${dir}, ${freeMib >= 1024 ? `${Math.floor(freeMib / 1024)} GiB` : `${freeMib} MiB`}${files > 0 ? ` and ${ffree} files` : ""} free`;
  return [{ name, why, state: isShort ? "warning" : "ok", found: space, cure: isShort ? cure : null }];
}

function socketDirectory(): Diagnosis {
  const name = "socket directory";
  const why = "commands find the controller and running steps by their sockets in it";
  try {
    return { name, why, state: "ok", found: ensurePrivateDir(directories().runtime), cure: null };
  } catch (error) {
    return failed(name, why, error);
  }
}

async function controller(signal: AbortSignal): Promise<Diagnosis> {
  const name = "controller";
  const why = "it takes jobs, starts them and keeps account";
  try {
    const { EmbeddedEngine, findController } = await import("#engine/embedded/client.ts");
    const wasRunning = await findController();
    await using engine = new EmbeddedEngine();
    const { pid, version, liveJobs, runningSteps, logFile } = await engine.status({ signal });
    const since = wasRunning ? "answers" : "was started, and answers";
    const found = `process ${pid} ${since}: ${count(liveJobs, "live job")}, ${count(runningSteps.length, "running step")}; log ${logFile}`;
    if (version === VERSION) return { name, why, state: "ok", found, cure: null };
    const cure = "berth daemon restart (jobs that run go on)";
    return { name, why, state: "warning", found: `process ${pid} is of Berth ${version}, this is ${VERSION}`, cure };
  } catch (error) {
    if (signal.aborted)
      return {
        name,
        why,
        state: "error",
        found: "does not answer",
        cure: "see what it says: berth daemon logs; then: berth daemon restart",
      };
    return failed(name, why, error);
  }
}

// --- a site's Slurm ----------------------------------------------------------------------------------------------

async function examineSite(signal: AbortSignal): Promise<Diagnosis[]> {
  const [{ findRestAddress }, { readToken }] = await Promise.all([
    import("#engine/slurm/rest/access.ts"),
    import("#engine/slurm/rest/token.ts"),
  ]);
  const address = findRestAddress();
  if (address !== undefined) {
    const name = "slurmrestd";
    const why = "commands reach the cluster through it";
    try {
      const { RestEngine } = await import("#engine/slurm/rest/client.ts");
      await using engine = new RestEngine(address, readToken());
      const { version, clusterName } = await engine.info({ signal });
      const [cluster, speaks] = [clusterName === "" ? "" : `, cluster ${clusterName}`, await engine.interfaceVersion({ signal })];
      return [
        {
          name,
          why,
          state: "ok",
          found: `${address.url} answers: Slurm ${version || "of unknown version"}, ${speaks}${cluster}`,
          cure: null,
        },
      ];
    } catch (error) {
      return [failed(name, why, error)];
    }
  }
  const { describeSite, findTrouble, pingControllers } = await import("#engine/slurm/describe-site.ts");
  const commands: Diagnosis = {
    name: "Slurm's commands",
    state: "ok",
    found: describeSite().commands,
    why: "Berth works through them",
    cure: null,
  };
  const name = "slurmctld";
  const why = "it has the cluster's jobs";
  const trouble = await findTrouble(signal);
  if (trouble !== undefined) return [slurmConf(), commands, failed(name, why, trouble)];
  // It fails when one of several is down, with the same lines.
  const said = await pingControllers(signal).catch((error: unknown) => [String(error instanceof Error ? error.message : error)]);
  const isUp = said.every((line) => /\bUP\b/.test(line));
  const cure = isUp ? null : "the others do its work; tell the cluster's administrator";
  return [slurmConf(), commands, { name, why, state: isUp ? "ok" : "warning", found: said.join("; "), cure }];
}

/** A host may have none: the site's commands then ask for it (configless). */
function slurmConf(): Diagnosis {
  const named = process.env["SLURM_CONF"] ?? "";
  const file = named === "" ? "/etc/slurm/slurm.conf" : named;
  const facts = { name: "slurm.conf", why: "Slurm's commands learn from it where the controller is" };
  try {
    accessSync(file, constants.R_OK);
    return { ...facts, state: "ok", found: `${file}${named === "" ? "" : " (SLURM_CONF)"}`, cure: null };
  } catch (error) {
    if (named === "" && (error as NodeJS.ErrnoException).code === "ENOENT")
      return { ...facts, state: "info", found: "none: the commands ask slurmd or DNS for it (configless)", cure: null };
    const cure =
      named === "" ? `sudo chmod a+r ${file}` : "unset SLURM_CONF, or set it to the cluster's; a private cluster: berth cluster up";
    return { ...facts, state: "error", found: `${file} cannot be read: ${errnoWords(error)}`, cure };
  }
}
