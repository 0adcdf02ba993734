/** One element of jobs[] as squeue and scontrol give it in 26.11; every key of commands.md §18.3, in its order. */
import type { JobRecord } from "#job/record.ts";
import { pendingIndexText } from "./array-ids.ts";
import { batchHost, cpuCount, endMs, isHeld, nodeCount, reasonText, startMs } from "./job-facts.ts";
import { exitCode, INFINITE, limit, number, time, UNSET, type Json } from "./json-values.ts";
import { nodesText } from "./nodes-text.ts";
import { gpusText, gresText, tresText } from "./sizes.ts";

export interface JobJsonContext {
  readonly nowMs: number;
  readonly clusterName: string;
}

export function jobJson(job: JobRecord, context: JobJsonContext): Json {
  const { array } = job;
  const accrueAt = job.eligibleAt !== null && job.eligibleAt <= context.nowMs ? job.eligibleAt : null;
  return {
    account: job.account ?? "",
    accrue_time: time(accrueAt),
    admin_comment: "",
    allocating_node: job.submitHost,
    array_job_id: number(array?.jobId ?? 0),
    array_task_id: number(array?.taskId ?? null),
    array_max_tasks: number(array?.throttle ?? 0),
    array_task_string: array !== null && array.taskId === null ? pendingIndexText(array, 0) : "",
    association_id: 0,
    batch_features: "",
    batch_flag: job.kind === "batch",
    batch_host: batchHost(job) ?? "",
    flags: jobFlags(job),
    burst_buffer: "",
    burst_buffer_state: "",
    cluster: context.clusterName,
    cluster_features: "",
    command: job.command ?? "",
    comment: job.comment ?? "",
    container: job.container ?? "",
    container_id: job.containerId ?? "",
    contiguous: job.contiguous,
    core_spec: 0,
    thread_spec: 32766,
    cores_per_socket: UNSET,
    billable_tres: number(cpuCount(job)),
    cpus_per_task: number(job.cpusPerTask),
    cpu_frequency_minimum: UNSET,
    cpu_frequency_maximum: UNSET,
    cpu_frequency_governor: UNSET,
    cpus_per_tres: "",
    cron: "",
    deadline: time(job.deadlineAt),
    delay_boot: number(0),
    dependency: job.dependency ?? "",
    derived_exit_code: exitCode(job.derivedExit),
    eligible_time: time(job.eligibleAt),
    end_time: time(endMs(job)),
    excluded_nodes: nodesText(job.excludedNodes),
    exit_code: exitCode(job.exit),
    extra: "",
    failed_node: job.failedNode ?? "",
    features: job.constraint ?? "",
    federation_origin: "",
    federation_siblings_active: "",
    federation_siblings_viable: "",
    gres_detail: gresDetail(job),
    group_id: job.groupId,
    group_name: job.groupName,
    het_job_id: number(0),
    het_job_id_set: "",
    het_job_offset: number(0),
    job_id: job.jobId,
    job_resources: jobResources(job),
    job_size_str: [],
    job_state: [job.state, ...job.flags],
    last_sched_evaluation: time(job.lastSchedEvalAt),
    licenses: job.licenses ?? "",
    licenses_allocated: job.allocated === null ? "" : (job.licenses ?? ""),
    mail_type: [...job.mailTypes],
    mail_user: job.mailUser ?? job.userName,
    max_cpus: number(0),
    max_nodes: number(job.nodesMax ?? 0),
    mcs_label: "",
    memory_per_tres: "",
    memory_update_delay: 0,
    memory_update_margin: 0,
    name: job.name,
    network: "",
    nodes: nodesText(job.nodes),
    nice: job.nice,
    tasks_per_core: INFINITE,
    tasks_per_tres: number(0),
    tasks_per_node: number(job.tasksPerNode ?? 0),
    tasks_per_socket: INFINITE,
    tasks_per_board: number(0),
    cpus: number(cpuCount(job)),
    node_count: number(nodeCount(job)),
    tasks: number(job.tasks),
    partition: job.partition,
    prefer: "",
    memory_per_cpu: number(job.memPerCpuMib),
    memory_per_node: job.memPerCpuMib === null ? number(job.memPerNodeMib ?? 0) : UNSET,
    minimum_cpus_per_node: number(job.minCpusPerNode),
    minimum_tmp_disk_per_node: number(job.tmpDiskMib),
    preempt_time: number(0),
    preemptable_time: number(0),
    pre_sus_time: number(Math.floor(job.suspendedMs / 1000)),
    hold: isHeld(job),
    priority: number(job.priority),
    priority_by_partition: [],
    profile: ["NOT_SET"],
    qos: job.qos ?? "",
    reboot: false,
    required_nodes: nodesText(job.requestedNodes),
    required_switches: 0,
    requeue: job.requeue,
    resize_time: number(0),
    restart_cnt: job.restarts,
    resv_name: job.reservation ?? "",
    runtime: "",
    scheduled_nodes: "",
    segment_size: 0,
    selinux_context: "",
    shared: job.exclusive ? ["none"] : job.oversubscribe ? ["oversubscribe"] : [],
    step_id: {
      sluid: "",
      job_id: number(job.jobId),
      step_het_component: UNSET,
      step_id: "entire",
    },
    sockets_per_board: 0,
    sockets_per_node: UNSET,
    start_time: time(startMs(job, context.nowMs)),
    state_description: job.stateDescription ?? "",
    state_reason: job.stateDescription === null ? job.reason : reasonText(job),
    standard_input: job.stdin ?? "",
    standard_output: job.stdout ?? "",
    standard_error: job.stderr ?? job.stdout ?? "",
    stdin_expanded: job.stdin ?? "",
    stdout_expanded: job.stdout ?? "",
    stderr_expanded: job.stderr ?? job.stdout ?? "",
    submit_time: time(job.submittedAt),
    submit_line: job.submitLine,
    suspend_time: time(job.suspendedAt),
    system_comment: "",
    time_limit: limit(job.timeLimitMinutes),
    time_minimum: number(job.timeMinMinutes ?? 0),
    threads_per_core: UNSET,
    tres_bind: "",
    tres_freq: "",
    tres_per_job: slashed(gpusText(job.gpus)),
    tres_per_node: slashed(gresText(job.gresPerNode)),
    tres_per_socket: "",
    tres_per_task: "",
    tres_req_str: tresText(job.requested),
    tres_alloc_str: job.allocated === null ? "" : tresText(job.allocated),
    user_id: job.userId,
    user_name: job.userName,
    maximum_switch_wait_time: 0,
    wckey: job.wckey ?? "",
    current_working_directory: job.workDir,
  };
}

/** JSON has the later spelling of TRES: `gres/gpu:1`. */
function slashed(text: string | null): string {
  return (text ?? "").replaceAll("gres:", "gres/");
}

function jobFlags(job: JobRecord): string[] {
  const flags: string[] = [];
  if (job.startedAt !== null) flags.push("JOB_WAS_RUNNING");
  if (job.memPerNodeMib !== null || job.memPerCpuMib !== null) flags.push("EXACT_MEMORY_REQUESTED");
  if (job.account === null) flags.push("USING_DEFAULT_ACCOUNT");
  if (job.qos === null) flags.push("USING_DEFAULT_QOS");
  if (job.wckey === null) flags.push("USING_DEFAULT_WCKEY");
  return flags;
}

function gresDetail(job: JobRecord): string[] {
  return job.shares
    .map((share) =>
      Object.entries(share.gres)
        .filter(([, indices]) => indices.length > 0)
        .map(([name, indices]) => `${name}:${indices.length}(IDX:${indices.join(",")})`)
        .join(","),
    )
    .filter((text) => text !== "");
}

/** Which CPUs of which node; one socket with a core for each CPU, because the record knows no sockets. */
function jobResources(job: JobRecord): Json {
  if (job.nodes.length === 0) return null;
  return {
    select_type: ["CR_CORE"],
    nodes: {
      count: job.nodes.length,
      select_type: ["ONE_ROW"],
      list: nodesText(job.nodes),
      whole: job.exclusive,
      allocation: job.shares.map((share, index) => ({
        index,
        name: share.node,
        cpus: { count: share.cpuIds.length, used: 0 },
        memory: { used: 0, allocated: share.memMib },
        sockets: [{ index: 0, cores: share.cpuIds.map((cpu) => ({ index: cpu, status: ["ALLOCATED"] })) }],
      })),
    },
    cpus: cpuCount(job),
    threads_per_core: UNSET,
  };
}
