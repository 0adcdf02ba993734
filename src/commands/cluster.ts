/** `berth cluster up | down | status`: a private real Slurm on this machine, to try things on. */
import { clusterDown, clusterStatus, clusterUp, type ClusterStatus } from "#engine/slurm/cluster/cluster.ts";
import { complain, printLines } from "./terminal.ts";

const USAGE = `Usage: berth cluster up [--nodes N] [--cpus N] [--jwt] [--dbd] [--json] | down | status [--json]
A private, throw-away cluster of the Slurm that is installed here: its own munge, controller and nodes c1…cN, on this
machine, as whoever calls. Everything is in one directory; down leaves no process and no file.

  up       start it (4 nodes, unless --nodes says otherwise); a second call changes nothing;
           --jwt: it accepts tokens too (scontrol token), as a slurmrestd in front of it needs;
           --dbd: it has slurmdbd with a MariaDB of its own, so that sacct knows jobs and steps of all times
  down     end all of it, jobs too
  status   whether it works; exit status 0 when it does, 1 when not`;

const DEFAULT_NODES = 4;

export async function cluster(argv: readonly string[]): Promise<number> {
  const { words, values, isJson, isHelp, hasTokens, hasDatabase } = read(argv);
  const [verb, ...extra] = words;
  if (isHelp) {
    printLines([USAGE]);
    return 0;
  }
  const interrupted = new AbortController();
  process.once("SIGINT", () => interrupted.abort(new Error("interrupted")));
  process.once("SIGTERM", () => interrupted.abort(new Error("interrupted")));
  const { signal } = interrupted;
  if (extra.length === 0) {
    switch (verb) {
      case "up":
        return await up({
          nodes: values.get("nodes") ?? DEFAULT_NODES,
          cpusPerNode: values.get("cpus") ?? null,
          hasTokens,
          hasDatabase,
          isJson,
          signal,
        });
      case "down": {
        const existed = await clusterDown({ signal });
        printLines([existed ? "The private cluster is down; nothing of it is left" : "There was no private cluster"]);
        return 0;
      }
      case "status":
        return status(await clusterStatus({ signal }), isJson);
    }
  }
  complain(
    `berth: error: cluster wants up, down or status${verb === undefined ? "" : `, not "${words.join(" ")}"`}`,
    'Try "berth cluster --help" for more information',
  );
  return 255;
}

function read(argv: readonly string[]): {
  words: string[];
  values: Map<string, number>;
  isJson: boolean;
  isHelp: boolean;
  hasTokens: boolean;
  hasDatabase: boolean;
} {
  const words: string[] = [];
  const values = new Map<string, number>();
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? "";
    const option = /^--(nodes|cpus)(?:=(.*))?$/.exec(word) ?? (word === "-N" ? ["", "nodes", undefined] : null);
    if (option === null) words.push(word);
    else values.set(option[1] ?? "", Number(option[2] ?? argv[++i]));
  }
  const isGiven = (...names: string[]) => words.some((word) => names.includes(word));
  return {
    words: words.filter((word) => !["--json", "--jwt", "--dbd", "--help", "-h"].includes(word)),
    values,
    isJson: isGiven("--json"),
    hasTokens: isGiven("--jwt"),
    hasDatabase: isGiven("--dbd"),
    isHelp: isGiven("--help", "-h"),
  };
}

async function up(options: {
  readonly nodes: number;
  readonly cpusPerNode: number | null;
  readonly hasTokens: boolean;
  readonly hasDatabase: boolean;
  readonly isJson: boolean;
  readonly signal: AbortSignal;
}): Promise<number> {
  const found = await clusterUp(options);
  if (options.isJson) {
    printLines([JSON.stringify(found, null, 2)]);
    return 0;
  }
  const names = found.nodeStates.map(({ name }) => name).join(" ");
  printLines([
    `${found.isNew ? "Started" : "Already up:"} a private Slurm ${found.slurmVersion ?? ""} with ${found.nodes} node${found.nodes === 1 ? "" : "s"}: ${names}`,
    "To use it, in this shell:",
    `    export SLURM_CONF=${found.conf}`,
    "    sinfo                                  # Slurm's own commands",
    "    berth srun -N2 hostname                # the same through Berth",
    "    berth srun --container BUNDLE COMMAND  # in a container, without any help from the site",
    "To end it: berth cluster down",
  ]);
  return 0;
}

function status(found: ClusterStatus, isJson: boolean): number {
  if (isJson) printLines([JSON.stringify(found, null, 2)]);
  else if (found.state === "down") printLines(["There is no private cluster"]);
  else {
    printLines([
      `The private cluster is ${found.state}: Slurm ${found.slurmVersion ?? "?"}, SLURM_CONF=${found.conf}`,
      ...found.nodeStates.map(({ name, state }) => `  ${name}  ${state}`),
      ...(found.dead.length === 0 ? [] : [`Not running: ${found.dead.join(", ")}`]),
      ...(found.state === "broken" ? ["To repair it: berth cluster down, then berth cluster up"] : []),
    ]);
  }
  return found.state === "up" ? 0 : 1;
}
