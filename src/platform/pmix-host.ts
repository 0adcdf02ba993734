/**
 * The process that serves PMIx to the tasks of one step: `berth pmix-host FILE`, FILE being a PmixHostPlan. libpmix brings
 * threads and global state of its own, which a step daemon that serves many steps must not have.
 *
 *   daemon ─ "sync N" ─► host       host ─ "synced N" ─► daemon: everything that happened before has been reported
 *   host ─ "ready JSON" | "failed TEXT" ─► daemon          JSON: the variables of each task, by rank
 *   host ─ "connected|finalized|abort RANK STATUS" ─► daemon
 *
 * When the daemon is killed its tasks go on, and so does this: until the step's spool directory is gone.
 */
import { existsSync, readFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { CString, dlopen, type Pointer, ptr, read } from "bun:ffi";
import { compilePmixCallbacks, type PmixCallbacks } from "./pmix-callbacks.ts";
import { PmixInfos, type PmixValue } from "./pmix-values.ts";

export interface PmixHostPlan {
  readonly library: string;
  readonly namespace: string;
  readonly tasks: number;
  readonly hostname: string;
  readonly uid: number;
  readonly gid: number;
  readonly jobId: string;
  /** Each task has /dev/shm and /tmp for itself, as if it were on a node of its own. */
  readonly isApart: boolean;
  /** Ours alone: sockets' names and what else libpmix wants to write. */
  readonly dir: string;
}

const REPORT_FD = 1;
const LOOK_FOR_SPOOL_MS = 1000;
const SUCCESS = 0;
const OPERATION_SUCCEEDED = -157;
/** In pmix_server_module_t, which has 28 functions. */
const MODULE_FUNCTIONS = 28;
const SLOT = { connected: 0, finalized: 1, aborted: 2, fenced: 3 } as const;
const PROC_BYTES = 260;
const RANK_AT = 256;

const load = (library: string) =>
  dlopen(library, {
    PMIx_server_init: { args: ["ptr", "ptr", "u64"], returns: "i32" },
    PMIx_server_finalize: { args: [], returns: "i32" },
    PMIx_generate_regex: { args: ["ptr", "ptr"], returns: "i32" },
    PMIx_generate_ppn: { args: ["ptr", "ptr"], returns: "i32" },
    PMIx_server_register_nspace: { args: ["ptr", "i32", "ptr", "u64", "ptr", "ptr"], returns: "i32" },
    PMIx_server_register_client: { args: ["ptr", "u32", "u32", "ptr", "ptr", "ptr"], returns: "i32" },
    PMIx_server_setup_fork: { args: ["ptr", "ptr"], returns: "i32" },
    PMIx_Error_string: { args: ["i32"], returns: "ptr" },
  }).symbols;

type Library = ReturnType<typeof load>;

export async function runPmixHost(file: string): Promise<void> {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined); // the daemon ends us
  const plan = JSON.parse(readFileSync(file, "utf8")) as PmixHostPlan; // the step daemon's, in its own directory
  const say = (line: string) => writeSync(REPORT_FD, `${line}\n`);
  let library: Library;
  try {
    library = load(plan.library);
    say(`ready ${JSON.stringify(serve(library, plan))}`);
  } catch (error) {
    say(`failed ${error instanceof Error ? error.message : String(error)}`);
    return;
  }
  let rest = "";
  for await (const chunk of Bun.stdin.stream()) {
    const lines = (rest + Buffer.from(chunk).toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "end") {
        library.PMIx_server_finalize();
        return;
      }
      if (line.startsWith("sync ")) say(`synced ${line.slice("sync ".length)}`);
    }
  }
  while (existsSync(dirname(file))) await Bun.sleep(LOOK_FOR_SPOOL_MS);
}

/** The variables of each task. @throws Error with what libpmix says */
function serve(library: Library, plan: PmixHostPlan): Record<string, string>[] {
  const check = (what: string, status: number) => {
    if (status === SUCCESS || status === OPERATION_SUCCEEDED) return;
    const text = library.PMIx_Error_string(status);
    throw new Error(`${what}: ${text === null ? status : new CString(text).toString()}`);
  };
  const callbacks = compilePmixCallbacks(plan.dir, REPORT_FD);
  const own = new PmixInfos([
    ["pmix.srvr.tmpdir", { type: "string", value: plan.dir }],
    ["pmix.sys.tmpdir", { type: "string", value: plan.dir }],
  ]);
  check("PMIx_server_init", library.PMIx_server_init(ptr(serverModule(callbacks)), ptr(own.bytes), BigInt(own.count)));
  const ranks = Array.from({ length: plan.tasks }, (_, rank) => rank);
  const generate = (call: (input: Buffer, output: Pointer) => number, text: string) => {
    const output = new BigUint64Array(1);
    check("PMIx_generate", call(Buffer.from(`${text}\0`), ptr(output)));
    return new CString(Number(output[0]) as Pointer).toString();
  };
  const job = new PmixInfos(
    jobFacts(plan, ranks, {
      nodes: generate(library.PMIx_generate_regex, plan.isApart ? ranks.map((rank) => nodeName(plan, rank)).join(",") : plan.hostname),
      ranks: generate(library.PMIx_generate_ppn, ranks.join(plan.isApart ? ";" : ",")),
    }),
  );
  const namespace = Buffer.alloc(RANK_AT);
  namespace.write(plan.namespace);
  check(
    "PMIx_server_register_nspace",
    library.PMIx_server_register_nspace(ptr(namespace), plan.tasks, ptr(job.bytes), BigInt(job.count), null, null),
  );
  return ranks.map((rank) => {
    const proc = Buffer.alloc(PROC_BYTES);
    namespace.copy(proc);
    proc.writeUInt32LE(rank, RANK_AT);
    check("PMIx_server_register_client", library.PMIx_server_register_client(ptr(proc), plan.uid, plan.gid, null, null, null));
    const env = new BigUint64Array(1);
    check("PMIx_server_setup_fork", library.PMIx_server_setup_fork(ptr(proc), ptr(env)));
    return readEnvironment(Number(env[0]) as Pointer);
  });
}

/** libpmix keeps the pointer's contents, not the pointer. */
function serverModule(callbacks: PmixCallbacks): BigUint64Array {
  const functions = new BigUint64Array(MODULE_FUNCTIONS);
  for (const [name, slot] of Object.entries(SLOT)) functions[slot] = BigInt(callbacks[name as keyof typeof SLOT]);
  return functions;
}

function nodeName({ hostname, isApart }: PmixHostPlan, rank: number): string {
  return isApart ? `${hostname}-${rank}` : hostname;
}

/** The tasks are all on this one host, whatever virtual nodes they are on: so they may share its memory. */
function jobFacts(
  plan: PmixHostPlan,
  ranks: readonly number[],
  maps: { readonly nodes: string; readonly ranks: string },
): (readonly [string, PmixValue])[] {
  const count = { type: "u32", value: plan.tasks } as const;
  const local = { type: "u32", value: plan.isApart ? 1 : plan.tasks } as const;
  return [
    ["pmix.jobid", { type: "string", value: plan.jobId }],
    ["pmix.job.size", count],
    ["pmix.univ.size", count],
    ["pmix.max.size", count],
    ["pmix.local.size", local],
    ["pmix.node.size", local],
    ["pmix.num.nodes", { type: "u32", value: plan.isApart ? plan.tasks : 1 }],
    ["pmix.nmap", { type: "regex", value: maps.nodes }],
    ["pmix.pmap", { type: "regex", value: maps.ranks }],
    ["pmix.lpeers", { type: "string", value: plan.isApart ? "" : ranks.join(",") }],
    ["pmix.lldr", { type: "rank", value: 0 }],
    ...ranks.map((rank) => ["pmix.pdata", { type: "infos", value: new PmixInfos(taskFacts(plan, rank)) }] as const),
  ];
}

function taskFacts(plan: PmixHostPlan, rank: number): (readonly [string, PmixValue])[] {
  return [
    ["pmix.rank", { type: "rank", value: rank }],
    ["pmix.appnum", { type: "u32", value: 0 }],
    ["pmix.apprank", { type: "rank", value: rank }],
    ["pmix.grank", { type: "rank", value: rank }],
    ["pmix.lrank", { type: "u16", value: plan.isApart ? 0 : rank }],
    ["pmix.nrank", { type: "u16", value: plan.isApart ? 0 : rank }],
    ["pmix.hname", { type: "string", value: nodeName(plan, rank) }],
    ["pmix.nodeid", { type: "u32", value: plan.isApart ? rank : 0 }],
  ];
}

/** A NULL-terminated array of NAME=value. */
function readEnvironment(array: Pointer): Record<string, string> {
  const env: Record<string, string> = {};
  for (let at = 0; ; at += 8) {
    const text = read.ptr(array, at);
    if (text === 0) return env;
    const entry = new CString(text as Pointer).toString();
    const equals = entry.indexOf("=");
    env[entry.slice(0, equals)] = entry.slice(equals + 1);
  }
}
