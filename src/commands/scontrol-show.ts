/** `scontrol show …` and `ping` (commands.md §8.1 to §8.3). */
import { BerthError } from "#job/errors.ts";
import { nowMs } from "#job/id.ts";
import { expandHostlist } from "#options/hostlist.ts";
import { renderPing, renderShowConfig, renderShowNodes, renderShowPartitions } from "#format/scontrol.ts";
import { ANY_JOB } from "./job-filter.ts";
import { shortHostName } from "./identity.ts";
import { printMachineOutput, skipsHidden, timeFormat, UNTIL_ENDED } from "./query.ts";
import { missing, say } from "./scontrol-answers.ts";
import { splitPair } from "./scontrol-hostlist.ts";
import type { ScontrolSession } from "./scontrol-session.ts";
import { showJobs, showSteps } from "./scontrol-show-jobs.ts";
import { complain, printRows } from "./terminal.ts";

// Beside `show`, so that scontrol loads one file for either.
export { showCompleting } from "./scontrol-show-jobs.ts";

type Show = (name: string | undefined, session: ScontrolSession) => Promise<number> | number;

/** Name, letters that are enough; in the order in which abbreviations are tried. */
const ENTITIES: readonly (readonly [name: string, least: number, show: Show])[] = [
  ["aliases", 2, () => 0], // no node has another name
  ["assoc_mgr", 2, () => say("Current Association Manager state", "")],
  ["bbstat", 2, () => 0],
  ["burstbuffer", 2, () => 0],
  ["config", 1, showConfig],
  ["daemons", 1, () => say("slurmctld slurmd")],
  ["dwstat", 2, () => 0],
  ["federation", 2, () => 0],
  ["frontend", 2, () => say("No frontend nodes in the system")],
  ["jobs", 1, showJobs],
  ["jobid", 1, showJobs],
  ["licenses", 2, showLicenses],
  ["nodes", 1, showNodes],
  ["nodename", 5, showNodes],
  ["partitions", 1, showPartitions],
  ["partitionname", 10, showPartitions],
  ["reservations", 1, showReservations],
  ["reservationname", 12, showReservations],
  ["slurmd", 2, showSlurmd],
  ["steps", 2, showSteps],
  ["stepid", 5, showSteps],
  ["topology", 1, showTopology],
];

export async function show(words: readonly string[], session: ScontrolSession): Promise<number> {
  const [word = "", second] = words;
  const [tag, value] = splitPair(word);
  const lower = tag.toLowerCase();
  const entity = ENTITIES.find(([name, least]) => lower.length >= least && name.startsWith(lower));
  if (entity === undefined) return session.fail(`invalid entity:${word} for keyword:show `);
  return await entity[2](value ?? second, session);
}

// --- Nodes, partitions, configuration -------------------------------------------------------------------------------

async function showNodes(text: string | undefined, session: ScontrolSession): Promise<number> {
  let wanted: readonly string[] | undefined;
  try {
    wanted = text === undefined ? undefined : expandHostlist(text.replace(/^nodename=/i, ""));
  } catch (error) {
    if (!(error instanceof BerthError)) throw error;
    return session.fail(`Invalid hostlist: ${text}`);
  }
  try {
    const engine = await session.engine();
    const all = await engine.nodes(UNTIL_ENDED);
    const nodes = wanted === undefined ? all : wanted.flatMap((name) => all.find((node) => node.name === name) ?? []);
    if (session.machine !== null) {
      await printMachineOutput(session.machine, { command: "scontrol", argv: session.argv, engine }, (json, request) =>
        json.nodesJson(nodes, request),
      );
    } else printRows(renderShowNodes(nodes, session.showOptions()));
    let status = 0;
    for (const name of wanted ?? []) if (!all.some((node) => node.name === name)) status = missing(`Node ${name} not found`, session);
    return status;
  } catch (error) {
    return session.failToLoad("slurm_load_node error", error);
  }
}

async function showPartitions(name: string | undefined, session: ScontrolSession): Promise<number> {
  try {
    const engine = await session.engine();
    const all = await engine.partitions(UNTIL_ENDED);
    const partitions = all.filter(
      (partition) => (name === undefined || partition.name === name) && !(partition.isHidden && skipsHidden(session.all)),
    );
    if (session.machine !== null) {
      await printMachineOutput(session.machine, { command: "scontrol", argv: session.argv, engine }, (json, request) =>
        json.partitionsJson(partitions, request),
      );
    } else printRows(renderShowPartitions(partitions, session.showOptions()));
    if (partitions.length > 0) return 0;
    return name === undefined ? 0 : missing(`Partition ${name} not found`, session);
  } catch (error) {
    return session.failToLoad("slurm_load_partitions error", error);
  }
}

async function showConfig(name: string | undefined, session: ScontrolSession): Promise<number> {
  if (name !== undefined) return session.fail("too many arguments for keyword:show");
  try {
    const engine = await session.engine();
    const [config, { host }] = await Promise.all([engine.config(UNTIL_ENDED), engine.info(UNTIL_ENDED)]);
    return say(...renderShowConfig(config, { nowMs: nowMs(), timeFormat: timeFormat(), host, isUp: true }));
  } catch (error) {
    return session.failToLoad("slurm_load_ctl_conf error", error);
  }
}

/** Whether the controller answers; the embedded engine's is started first, like by every command. */
export async function ping(session: ScontrolSession): Promise<number> {
  try {
    const { host } = await (await session.engine()).info(UNTIL_ENDED);
    return say(renderPing(host, true));
  } catch (error) {
    if (!(error instanceof BerthError)) throw error;
    printRows([renderPing(shortHostName(), false)]);
    if (error.hint !== undefined) complain(`scontrol: ${error.message}`, `scontrol: ${error.hint}`);
    return 1;
  }
}

// --- The rest -------------------------------------------------------------------------------------------------------

async function showLicenses(name: string | undefined, session: ScontrolSession): Promise<number> {
  try {
    const engine = await session.engine();
    const [config, jobs] = await Promise.all([
      engine.config(UNTIL_ENDED),
      engine.jobs({ ...ANY_JOB, states: ["RUNNING", "SUSPENDED"] }, UNTIL_ENDED),
    ]);
    const text = config.find(([key]) => key === "Licenses")?.[1] ?? "(null)";
    const used = new Map<string, number>();
    for (const job of jobs) for (const [license, count] of licensesOf(job.licenses)) used.set(license, (used.get(license) ?? 0) + count);
    const all = licensesOf(text === "(null)" ? null : text);
    const shown = all.filter(([license]) => name === undefined || license === name);
    if (shown.length === 0) {
      if (name !== undefined) return missing(`License ${name} not found in Slurm.`, session);
      return session.quiet ? 0 : say("No licenses configured in Slurm.");
    }
    return say(
      ...shown.flatMap(([license, total]) => {
        const inUse = used.get(license) ?? 0;
        const head = `LicenseName=${license}`;
        const counts = `Total=${total} Used=${inUse} Free=${Math.max(0, total - inUse)} Reserved=0 Remote=no`;
        return session.oneLine ? [`${head} ${counts}`] : [head, `    ${counts}`];
      }),
    );
  } catch (error) {
    return session.failToLoad("slurm_load_licenses error", error);
  }
}

/** `matlab:2,fluent` → names with counts. */
function licensesOf(text: string | null): [name: string, count: number][] {
  return (text ?? "")
    .split(/[,;|]/)
    .filter((entry) => entry !== "")
    .map((entry) => {
      const [name = "", count = "1"] = entry.split(/[:*]/);
      return [name, Number(count)];
    });
}

function showReservations(name: string | undefined, session: ScontrolSession): number {
  if (name !== undefined) return missing(`Reservation ${name} not found`, session);
  return session.quiet ? 0 : say("No reservations in the system");
}

/** No engine has a slurmd to ask. */
function showSlurmd(_name: string | undefined, session: ScontrolSession): number {
  return session.fail("scontrol: error: slurm_slurmd_info: Connection refused", "slurm_load_slurmd_status: Connection refused");
}

function showTopology(_name: string | undefined, session: ScontrolSession): number {
  session.fail("scontrol: error: No topology information available");
  return 0; // as Slurm does
}
