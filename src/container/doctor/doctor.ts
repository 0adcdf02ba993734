/**
 * What the containers guide asks of a host (spec: oci-conf §16; images, scrun), looked at one by one: `berth doctor`.
 * Only one of them decides whether container jobs run here: that a container really runs. The others say why not, or what
 * will be missed later.
 */
import { BerthError } from "#job/errors.ts";
import { checkConf } from "../conf-check.ts";
import { Host, type Diagnosis } from "./host.ts";
import { cgroups, userNamespaces } from "./kernel.ts";
import { devices, fileSystems } from "./places.ts";
import { otherEngines } from "./other-engines.ts";
import { programs, slurm } from "./programs.ts";
import { runtimeDirectory, subordinateIds } from "./user.ts";

export interface DoctorOptions {
  readonly confFile: string | null;
  readonly stateDir: string;
  readonly nodeName: string;
  readonly signal: AbortSignal;
  /** Whether the engine can be had: without its directories no container can be tried. */
  readonly triesContainers: boolean;
  /** The executable behind a launcher of scrun (scrun/launcher). */
  readonly targetOfLauncher: (path: string) => string | undefined;
}

/** In the order in which a site sets a host up. Never throws for what is wrong with the host. */
export async function examine(options: DoctorOptions): Promise<readonly Diagnosis[]> {
  const host = new Host();
  return [
    ...(await userNamespaces(host)),
    ...subordinateIds(host),
    ...runtimeDirectory(host),
    ...cgroups(),
    ...(await programs(host)),
    ...fileSystems(options.stateDir),
    ...devices(),
    ...otherEngines(host, options.targetOfLauncher),
    ...(await slurm(host)),
    ...(options.triesContainers ? [await containerJobs(options)] : []),
  ];
}

/** The only one that decides: containers are run, with the oci.conf in force or without. */
async function containerJobs(options: DoctorOptions): Promise<Diagnosis> {
  const why = "this is what a job does: run a container, look at it, kill it, delete it";
  const name = "container jobs";
  try {
    const { lifecycle, problems } = await checkConf({ ...options, file: options.confFile, bundle: null });
    const how = options.confFile === null ? "with the runtime that Berth chooses" : `with ${options.confFile}`;
    const [problem] = problems;
    if (problem !== undefined) return { name, why, state: "error", found: `they fail ${how}: ${problem.what}`, cure: problem.cure };
    if (lifecycle === null)
      return {
        name,
        why,
        state: "error",
        found: `nothing to try ${how}`,
        cure: "sudo apt-get install busybox-static, or berth oci check --bundle DIR",
      };
    return { name, why, state: "ok", found: `two containers ran ${how}`, cure: null };
  } catch (error) {
    if (!(error instanceof BerthError)) throw error;
    return { name, why, state: "error", found: error.message, cure: error.hint ?? null };
  }
}
