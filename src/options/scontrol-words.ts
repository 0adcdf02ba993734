/** What scontrol can be told to do (scontrol(1), COMMANDS), and the keys of its update; pure. */

export interface ScontrolVerb {
  readonly name: string;
  /** Letters that are enough to be understood. */
  readonly least: number;
  /** Words that may follow. */
  readonly min: number;
  readonly max: number;
  readonly operands: string;
  readonly help: string;
  readonly idle?: string;
  readonly refused?: string;
}

type Extra = Omit<ScontrolVerb, "name" | "least" | "operands" | "help">;

function verb(name: string, least: number, operands: string, help: string, extra: Extra): ScontrolVerb {
  return { name, least, operands, help, ...extra };
}

const NONE = { min: 0, max: 0 } as const;
const JOBS = { min: 1, max: Infinity } as const;
const NO_FEDERATION = "there is no federation";
const READS_AT_START = "berth.conf is read when the engine starts: berth daemon restart";
const HAS_DAEMON = "berth daemon looks after the engine";
const OF_THE_FILE = "nodes, partitions and reservations are what berth.conf says";

/** In the order in which abbreviations are tried. */
export const SCONTROL_VERBS: readonly ScontrolVerb[] = [
  verb("all", 3, "", "show hidden partitions too", NONE),
  verb("cluster", 2, "NAME", "cluster to talk to", { min: 1, max: 1 }),
  verb("completing", 2, "", "jobs that are about to end", NONE),
  verb("details", 1, "", "show more of each record", NONE),
  verb("errnumstr", 3, "NUMBER", "what an error number of Slurm means", { min: 1, max: 1 }),
  verb("exit", 1, "", "leave the prompt", NONE),
  verb("federation", 3, "", "show federated jobs", { ...NONE, idle: NO_FEDERATION }),
  verb("help", 2, "", "print the commands", NONE),
  verb("hide", 2, "", "do not show hidden partitions", NONE),
  verb("hold", 3, "JOBS", "keep jobs from starting", JOBS),
  verb("listpids", 5, "[JOB[.STEP] [NODE]]", "processes of steps", { min: 0, max: 2 }),
  verb("local", 3, "", "show this cluster only", { ...NONE, idle: NO_FEDERATION }),
  verb("notify", 1, "JOB TEXT", "print a line where the job's messages go", { min: 2, max: Infinity }),
  verb("oneliner", 1, "", "one line for each record", NONE),
  verb("pidinfo", 3, "PID", "which job a process belongs to", { min: 1, max: 1 }),
  verb("ping", 3, "", "whether the controller answers", NONE),
  verb("quiet", 4, "", "print errors only", NONE),
  verb("quit", 4, "", "leave the prompt", NONE),
  verb("release", 3, "JOBS", "let held jobs start", JOBS),
  verb("requeue", 3, "[incomplete] JOBS", "run jobs again", JOBS),
  verb("requeuehold", 8, "[State=SpecialExit] JOBS", "put jobs back and hold them", JOBS),
  verb("resume", 3, "JOBS", "let suspended jobs go on", JOBS),
  verb("show", 3, "ENTITY[=ID]", "print records", { min: 1, max: 2 }),
  verb("sibling", 3, "", "show siblings of federated jobs", { ...NONE, idle: NO_FEDERATION }),
  verb("suspend", 2, "JOBS", "stop jobs for a while", JOBS),
  verb("top", 3, "JOBS", "put jobs before your others", { ...JOBS, refused: "as a Slurm without enable_user_top answers" }),
  verb("uhold", 3, "JOBS", "keep jobs from starting", JOBS),
  verb("update", 1, "KEY=VALUE…", "change jobs, nodes and partitions", JOBS),
  verb("verbose", 4, "", "say more", NONE),
  verb("version", 4, "", "print the version", NONE),
  verb("wait_job", 2, "JOB", "wait until the nodes of a job are ready", { min: 1, max: 1 }),
  verb("write", 3, "batch_script JOB [FILE|-]", "save the script of a job", { min: 2, max: 3 }),
  ...(
    [
      ["abort", "end the controller with a core file", HAS_DAEMON],
      ["cancel_reboot", "do not reboot nodes after all", "nodes are never rebooted"],
      ["create", "make a partition or reservation", OF_THE_FILE],
      ["delete", "remove a partition or reservation", OF_THE_FILE],
      ["fsdampeningfactor", "set the fair share dampening", READS_AT_START],
      ["power", "switch nodes on or off", "power is not managed"],
      ["reboot", "reboot nodes", "nodes are never rebooted"],
      ["reconfigure", "read the configuration again", READS_AT_START],
      ["schedloglevel", "log the scheduler", HAS_DAEMON],
      ["setdebug", "set the log level", HAS_DAEMON],
      ["setdebugflags", "choose what is logged", HAS_DAEMON],
      ["shutdown", "end the daemons", HAS_DAEMON],
      ["takeover", "let the backup controller take over", "there is one controller"],
      ["token", "make a token for slurmrestd", "who may talk to the engine is known by its socket"],
    ] as const
  ).map(([name, help, refused]) => verb(name, Math.min(name.length, 5), "…", help, { min: 0, max: Infinity, refused })),
];

export const SHOW_ENTITIES = (
  "aliases assoc_mgr bbstat burstbuffer config daemons dwstat federation frontend hostlist hostlistsorted hostnames jobs licenses nodes " +
  "partitions reservations slurmd steps topology"
).split(" ");

/** When `scontrol update` can change a key: in any state, or while the job waits; null is never. */
export interface UpdateKey {
  readonly name: string;
  readonly when: "any state" | "waiting" | null;
}

const ANY_STATE = new Set("ArrayTaskThrottle Comment EndTime JobName MailUser Nice Requeue TimeLimit".split(" "));
const NEVER = new Set(
  (
    "AdminComment BurstBuffer Clusters ClusterFeatures CoreSpec CpusPerTres DelayBoot MemPerTres Prefer Reboot ReqCores ReqSockets ReqThreads " +
    "ResetAccrueTime SiteFactor Switches ThreadSpec TresBind TresFreq UserID wait-for-switch Extra MCSLabel SegmentSize"
  ).split(" "),
);

/** Keys of a job, in the order in which abbreviations are tried (scontrol(1), SPECIFICATIONS FOR UPDATE COMMAND, JOBS). */
export const JOB_UPDATE_KEYS: readonly UpdateKey[] = (
  "Account AdminComment ArrayTaskThrottle BurstBuffer Clusters ClusterFeatures Comment Contiguous CoreSpec CPUsPerTask CpusPerTres " +
  "Deadline DelayBoot Dependency EligibleTime EndTime ExcNodeList Features Gres JobName Licenses MailType MailUser MemPerTres MinCPUsNode " +
  "MinMemoryCPU MinMemoryNode MinTmpDiskNode Name Nice NodeList NumCPUs NumNodes NumTasks OverSubscribe Partition Prefer Priority QOS Reboot ReqCores " +
  "ReqNodeList ReqNodes ReqProcs ReqSockets ReqThreads Requeue ReservationName ResetAccrueTime Shared SiteFactor StartTime StdOut Switches " +
  "TasksPerNode ThreadSpec TimeLimit TimeMin TresBind TresFreq TresPerJob TresPerNode TresPerSocket TresPerTask UserID WCKey WorkDir wait-for-switch " +
  "Extra MCSLabel SegmentSize StdErr StdIn"
)
  .split(" ")
  .map((name) => ({ name, when: NEVER.has(name) ? null : ANY_STATE.has(updateKeyName(name)) ? "any state" : "waiting" }));

/** Two keys for one thing. */
export function updateKeyName(key: string): string {
  switch (key) {
    case "Name":
      return "JobName";
    case "ReqNodes":
      return "NumNodes";
    case "ReqProcs":
      return "NumCPUs";
    case "Shared":
      return "OverSubscribe";
    default:
      return key;
  }
}

export const NODE_UPDATE_KEYS = ["State", "Reason"] as const;
export const PARTITION_UPDATE_KEYS = ["State", "MaxTime", "DefaultTime"] as const;
