/** Jobs, nodes and partitions as slurmrestd gives them, v0.0.36 to the newest. Pure. */
import type { JobId } from "#job/id.ts";
import type { JobRecord, NodeRecord, PartitionRecord } from "#job/record.ts";
import { STATE_FLAGS, STATES, type BaseState, type StateFlag } from "#job/state.ts";
import { parseIndexList } from "#options/array.ts";
import { expandHostlist } from "#options/hostlist.ts";
import { tresOf } from "../records/fields.ts";
import { parseRequestComment } from "../site/container-request.ts";
import { exitOf, numberOf, objectOf, textOf, timeOf, wordsOf, type Json } from "./values.ts";

const MAX_ARRAY_INDEX = 4_000_001;

export function jobRecord(job: Json): JobRecord {
  const words = wordsOf(job["job_state"]);
  const state = words.find((word): word is BaseState => Object.hasOwn(STATES, word)) ?? "RUNNING";
  const flags = words.filter((word): word is StateFlag => Object.hasOwn(STATE_FLAGS, word));
  const isPending = state === "PENDING";
  const comment = textOf(job["comment"]);
  const container = parseRequestComment(comment ?? "");
  const nodes = isPending ? [] : expandHostlist(textOf(job["nodes"]) ?? "");
  const startAt = timeOf(job["start_time"]);
  const count = (key: string, fallback: number) => numberOf(job[key]) ?? fallback;
  return {
    jobId: count("job_id", 0) as JobId,
    array: arrayOf(job),
    kind: job["batch_flag"] === false ? "srun" : "batch",
    name: textOf(job["name"]) ?? "",
    userId: count("user_id", 0),
    userName: textOf(job["user_name"]) ?? "",
    groupId: count("group_id", 0),
    groupName: textOf(job["group_name"]) ?? "",
    account: textOf(job["account"]),
    qos: textOf(job["qos"]),
    wckey: textOf(job["wckey"]),
    reservation: textOf(job["resv_name"]),
    comment: container === undefined ? comment : null,
    partition: textOf(job["partition"]) ?? "",
    state,
    flags,
    reason: textOf(job["state_reason"]) ?? "None",
    stateDescription: textOf(job["state_description"]),
    exit: exitOf(job["exit_code"]),
    derivedExit: exitOf(job["derived_exit_code"]),
    cancelledBy: null,
    failedNode: textOf(job["failed_node"]),
    priority: count("priority", 0),
    nice: count("nice", 0),
    requeue: job["requeue"] === true,
    restarts: count("restart_cnt", 0),
    dependency: textOf(job["dependency"]),
    submittedAt: timeOf(job["submit_time"]) ?? (0 as never),
    eligibleAt: timeOf(job["eligible_time"]),
    startedAt: isPending ? null : startAt,
    expectedStartAt: isPending ? startAt : null,
    endedAt: isPending || state === "RUNNING" || state === "SUSPENDED" ? null : timeOf(job["end_time"]),
    suspendedAt: state === "SUSPENDED" ? timeOf(job["suspend_time"]) : null,
    suspendedMs: 0,
    deadlineAt: timeOf(job["deadline"]),
    lastSchedEvalAt: timeOf(job["last_sched_evaluation"]),
    scheduler: null,
    timeLimitMinutes: numberOf(job["time_limit"]),
    timeMinMinutes: count("time_minimum", 0) || null,
    warnSignal: null,
    submitHost: textOf(job["allocating_node"]) ?? "",
    submitSid: 0,
    submitLine: textOf(job["submit_line"]) ?? "",
    workDir: textOf(job["current_working_directory"]) ?? "",
    command: textOf(job["command"]),
    stdin: textOf(job["standard_input"]),
    stdout: textOf(job["standard_output"]),
    stderr: textOf(job["standard_error"]),
    mailUser: textOf(job["mail_user"]),
    mailTypes: wordsOf(job["mail_type"]),
    container: container?.bundle ?? textOf(job["container"]),
    containerId: container?.containerId ?? textOf(job["container_id"]),
    requestedNodes: expandHostlist(textOf(job["required_nodes"]) ?? ""),
    excludedNodes: expandHostlist(textOf(job["excluded_nodes"]) ?? ""),
    nodesMin: count("node_count", 1),
    nodesMax: count("max_nodes", 0) || null,
    tasks: count("tasks", 1),
    cpusPerTask: count("cpus_per_task", 1),
    tasksPerNode: count("tasks_per_node", 0) || null,
    minCpusPerNode: count("minimum_cpus_per_node", 1),
    memPerNodeMib: numberOf(job["memory_per_node"]),
    memPerCpuMib: numberOf(job["memory_per_cpu"]),
    tmpDiskMib: count("minimum_tmp_disk_per_node", 0),
    gresPerNode: textOf(job["tres_per_node"]),
    gpus: textOf(job["tres_per_job"]),
    constraint: textOf(job["features"]),
    licenses: textOf(job["licenses"]),
    exclusive: false,
    oversubscribe: false,
    contiguous: job["contiguous"] === true,
    distribution: null,
    requested: tresOf(textOf(job["tres_req_str"]) ?? undefined),
    nodes,
    batchHost: textOf(job["batch_host"]),
    shares: [],
    allocated: isPending ? null : tresOf(textOf(job["tres_alloc_str"]) ?? undefined),
  };
}

function arrayOf(job: Json): JobRecord["array"] {
  const jobId = numberOf(job["array_job_id"]) ?? 0;
  if (jobId === 0) return null;
  const text = textOf(job["array_task_string"]);
  const taskId = text === null ? numberOf(job["array_task_id"]) : null;
  const indices = text === null ? [taskId ?? 0] : (parseIndexList(text.replace(/%.*/, ""), MAX_ARRAY_INDEX) ?? [0]);
  return {
    jobId: jobId as JobId,
    taskId,
    pendingIndices: text,
    throttle: (numberOf(job["array_max_tasks"]) ?? 0) || null,
    count: indices.length,
    min: Math.min(...indices),
    max: Math.max(...indices),
    step: 1,
  };
}

const DOWN_WORDS = ["DOWN", "FAIL", "UNKNOWN", "NOT_RESPONDING", "ERROR"];

export function nodeRecord(node: Json): NodeRecord {
  const words = wordsOf(node["state"], node["state_flags"]);
  const text = (key: string) => textOf(node[key]);
  const list = (key: string) => (Array.isArray(node[key]) ? wordsAsTheyAre(node[key]) : (text(key) ?? "").split(",").filter(Boolean));
  const load = numberOf(node["cpu_load"]);
  return {
    name: text("name") ?? "",
    hostName: text("hostname") ?? text("name") ?? "",
    address: text("address") ?? text("name") ?? "",
    arch: text("architecture") ?? "",
    os: text("operating_system") ?? "",
    cpus: numberOf(node["cpus"]) ?? 0,
    sockets: numberOf(node["sockets"]) ?? 1,
    coresPerSocket: numberOf(node["cores"]) ?? 1,
    threadsPerCore: numberOf(node["threads"]) ?? 1,
    memMib: numberOf(node["real_memory"]) ?? 0,
    freeMemMib: numberOf(node["free_memory"] ?? node["free_mem"]),
    load: load === null ? null : load / 100,
    tmpDiskMib: numberOf(node["temporary_disk"]) ?? 0,
    weight: numberOf(node["weight"]) ?? 1,
    features: list("features"),
    gres: text("gres"),
    partitions: list("partitions"),
    state: words.some((word) => word.startsWith("DRAIN")) ? "DRAIN" : words.some((word) => DOWN_WORDS.includes(word)) ? "DOWN" : "UP",
    reason: text("reason"),
    reasonUser: text("reason_set_by_user"),
    reasonAt: timeOf(node["reason_changed_at"]),
    allocatedCpus: numberOf(node["alloc_cpus"]) ?? 0,
    allocatedMemMib: numberOf(node["alloc_memory"]) ?? 0,
    allocatedGres: tresOf(text("tres_used") ?? undefined).gres,
    isCompleting: words.includes("COMPLETING"),
    bootedAt: timeOf(node["boot_time"]),
    daemonStartedAt: timeOf(node["slurmd_start_time"]),
    lastBusyAt: timeOf(node["last_busy"]),
    version: text("slurmd_version") ?? text("version") ?? "",
  };
}

function wordsAsTheyAre(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((word): word is string => typeof word === "string") : [];
}

/** The older form is flat; the later one has `nodes`, `cpus`, `maximums` … as objects. */
export function partitionRecord(partition: Json): PartitionRecord {
  const nodes = objectOf(partition["nodes"]);
  const maximums = objectOf(partition["maximums"]);
  const state = wordsOf(partition["state"], objectOf(partition["partition"])["state"])[0];
  const groups = textOf(partition["allowed_groups"]) ?? textOf(objectOf(partition["groups"])["allowed"]);
  const tres = tresOf(textOf(partition["tres"]) ?? textOf(objectOf(partition["tres"])["configured"]) ?? undefined);
  const flags = wordsOf(partition["flags"]);
  const priority = objectOf(partition["priority"]);
  const name = textOf(partition["name"]) ?? "";
  return {
    name,
    isDefault: flags.includes("DEFAULT"),
    nodes: expandHostlist(textOf(partition["nodes"]) ?? textOf(nodes["configured"]) ?? ""),
    state: state === "DOWN" || state === "DRAIN" || state === "INACTIVE" ? state : "UP",
    maxTimeMinutes: numberOf(partition["max_time_limit"] ?? maximums["time"]),
    defaultTimeMinutes: numberOf(partition["default_time_limit"] ?? objectOf(partition["defaults"])["time"]),
    minNodes: numberOf(partition["min nodes per job"] ?? partition["min_nodes_per_job"] ?? objectOf(partition["minimums"])["nodes"]) ?? 0,
    maxNodes: numberOf(partition["maximum_nodes_per_job"] ?? maximums["nodes"]),
    maxCpusPerNode: numberOf(partition["maximum_cpus_per_node"] ?? maximums["cpus_per_node"]),
    isHidden: flags.includes("HIDDEN"),
    isRootOnly: flags.includes("ROOT_ONLY"),
    oversubscribe: "NO",
    priorityTier: numberOf(partition["priority_tier"] ?? priority["tier"]) ?? 1,
    priorityJobFactor: numberOf(partition["priority_job_factor"] ?? priority["job_factor"]) ?? 1,
    allowGroups: groups === null ? null : groups.split(","),
    totalCpus: numberOf(partition["total_cpus"] ?? objectOf(partition["cpus"])["total"]) ?? tres.cpus,
    totalNodes: numberOf(partition["total_nodes"] ?? nodes["total"]) ?? tres.nodes,
    totalMemMib: tres.memMib ?? 0,
  };
}
