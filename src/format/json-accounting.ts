/** sacct's jobs[] and steps[] in the later JSON shape (commands.md §16): exit codes are the real ones. */
import type { AccountedJob, StepRecord, Tres } from "#job/record.ts";
import { sortAccountedSteps } from "./accounting-order.ts";
import { pendingIndexText } from "./array-ids.ts";
import { isHeld, nodeCount, reasonText, runSeconds, stepRunSeconds } from "./job-facts.ts";
import type { JobJsonContext } from "./json-job.ts";
import { duration, exitCode, limit, number, time, UNSET, type Json } from "./json-values.ts";
import { nodesText } from "./nodes-text.ts";
import { seconds } from "./times.ts";

const TRES_IDS = { cpu: 1, mem: 2, node: 4, billing: 5, gres: 1001 } as const;

function tresList(tres: Tres | null, withBilling: boolean): Json[] {
  if (tres === null) return [];
  const entry = (type: keyof typeof TRES_IDS, count: number, name = "") => ({ type, name, id: TRES_IDS[type], count });
  const list = [entry("cpu", tres.cpus)];
  if (tres.memMib !== null) list.push(entry("mem", tres.memMib));
  list.push(entry("node", tres.nodes));
  if (withBilling) list.push(entry("billing", tres.cpus));
  return [...list, ...Object.entries(tres.gres).map(([name, count]) => entry("gres", count, name))];
}

export function accountedJson(job: AccountedJob, context: JobJsonContext): Json {
  const { array } = job;
  const systemMs = job.steps.reduce((sum, step) => sum + (step.usage?.systemCpuMs ?? 0), 0);
  const userMs = job.steps.reduce((sum, step) => sum + (step.usage?.userCpuMs ?? 0), 0);
  const plannedSeconds = job.eligibleAt === null ? 0 : seconds(job.startedAt ?? context.nowMs) - seconds(job.eligibleAt);
  return {
    account: job.account ?? "",
    comment: { administrator: "", job: job.comment ?? "", system: "" },
    allocation_nodes: job.nodes.length,
    array: {
      job_id: array?.jobId ?? 0,
      limits: { max: { running: { tasks: array?.throttle ?? 0 } } },
      task_id: number(array?.taskId ?? null),
      task: array !== null && array.taskId === null ? pendingIndexText(array, 0) : "",
    },
    association: { account: job.account ?? "", cluster: context.clusterName, partition: "", user: job.userName, id: 0 },
    block: "",
    cluster: context.clusterName,
    constraints: job.constraint ?? "",
    container: job.container ?? "",
    derived_exit_code: exitCode(job.derivedExit),
    time: {
      elapsed: runSeconds(job, context.nowMs),
      eligible: seconds(job.eligibleAt ?? 0),
      end: seconds(job.endedAt ?? 0),
      planned: number(Math.max(0, plannedSeconds)),
      start: seconds(job.startedAt ?? 0),
      submission: seconds(job.submittedAt),
      suspended: seconds(job.suspendedMs),
      system: duration(systemMs),
      limit: limit(job.timeLimitMinutes),
      total: duration(systemMs + userMs),
      user: duration(userMs),
    },
    exit_code: exitCode(job.exit),
    extra: "",
    failed_node: job.failedNode ?? "",
    flags: job.startedAt === null ? [] : ["STARTED_ON_SCHEDULE"],
    group: job.groupName,
    het: { job_id: 0, job_offset: UNSET },
    job_id: job.jobId,
    name: job.name,
    licenses: job.licenses ?? "",
    mcs: { label: "" },
    nodes: job.nodes.length === 0 ? "None assigned" : nodesText(job.nodes),
    partition: job.partition,
    hold: isHeld(job),
    priority: number(job.priority),
    qos: job.qos ?? "",
    qosreq: "",
    required: {
      CPUs: job.requested.cpus,
      memory_per_cpu: number(job.memPerCpuMib),
      memory_per_node: number(job.memPerCpuMib === null ? (job.memPerNodeMib ?? (job.requested.memMib ?? 0) / nodeCount(job)) : null),
    },
    kill_request_user: job.cancelledBy === null ? "" : `${job.cancelledBy === job.userId ? job.userName : job.cancelledBy}`,
    restart_cnt: job.restarts,
    reservation: { id: 0, name: job.reservation ?? "", requested: job.reservation ?? "" },
    script: "",
    segment_size: 0,
    stdin_expanded: job.stdin ?? "",
    stdout_expanded: job.stdout ?? "",
    stderr_expanded: job.stderr ?? job.stdout ?? "",
    stdout: job.stdout ?? "",
    stderr: job.stderr ?? job.stdout ?? "",
    stdin: job.stdin ?? "",
    state: { current: [job.earlierRun ?? job.state], reason: reasonText(job) },
    steps: sortAccountedSteps(job.steps).map((step) => stepJson(step, context.nowMs)),
    submit_line: job.submitLine,
    tres: { allocated: tresList(job.allocated, true), requested: tresList(job.requested, true) },
    used_gres: "",
    user: job.userName,
    wckey: { wckey: job.wckey ?? "", flags: [] },
    working_directory: job.workDir,
  };
}

export function stepJson(step: StepRecord, nowMs: number): Json {
  const systemMs = step.usage?.systemCpuMs ?? 0;
  const userMs = step.usage?.userCpuMs ?? 0;
  const rss = step.usage?.maxRssKib ?? null;
  const maxima =
    rss === null
      ? []
      : [
          {
            type: "mem",
            name: "",
            id: TRES_IDS.mem,
            count: rss * 1024,
            task: step.usage?.maxRssTask ?? 0,
            node: step.usage?.maxRssNode ?? "",
          },
        ];
  return {
    time: {
      elapsed: stepRunSeconds(step, nowMs),
      end: step.endedAt === null ? UNSET : time(step.endedAt),
      start: time(step.startedAt),
      suspended: seconds(step.suspendedMs),
      system: duration(systemMs),
      limit: limit(step.timeLimitMinutes),
      total: duration(systemMs + userMs),
      user: duration(userMs),
    },
    exit_code: exitCode(step.exit),
    nodes: { count: step.nodes.length, range: nodesText(step.nodes), list: [...step.nodes] },
    tasks: { count: step.tasks },
    pid: step.srunPid === null ? "" : `${step.srunPid}`,
    CPU: { requested_frequency: { min: UNSET, max: UNSET }, governor: "0" },
    kill_request_user: step.cancelledBy === null ? "" : `${step.cancelledBy === step.userId ? step.userName : step.cancelledBy}`,
    state: [step.state],
    statistics: { CPU: { actual_frequency: 0 }, energy: { consumed: UNSET } },
    step: {
      id: `${step.jobId}.${step.stepKey}`,
      name: step.name,
      container: step.container ?? "",
      container_id: step.containerId ?? "",
      // Berth's own key: Slurm records none.
      ...(step.annotations === undefined ? {} : { container_annotations: step.annotations }),
    },
    task: { distribution: step.distribution === null ? "Unknown" : step.distribution.charAt(0).toUpperCase() + step.distribution.slice(1) },
    submit_line: step.submitLine ?? "",
    tres: {
      requested: { max: maxima, min: [], average: [], total: [] },
      consumed: { max: [], min: [], average: [], total: [] },
      allocated: tresList(step.allocated, false),
    },
  };
}
