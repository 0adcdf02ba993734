import { describe, expect, test } from "bun:test";
import { accounted, array, type at, batchStep, job, N1, node, NOW, pending, SHORT, step } from "./fixtures.ts";
import {
  accountingJson,
  jobsJson,
  jsonText,
  nodesJson,
  partitionsJson,
  sinfoRowsJson,
  stepsJson,
  type Json,
  type JsonRequest,
} from "./json.ts";
import { yamlText } from "./yaml.ts";

const request: JsonRequest = {
  meta: { command: ["squeue", "--json"], user: "alice", group: "alice", source: "", release: "26.11.0-0rc1", clusterName: "oracle26" },
  nowMs: NOW,
};
/** The answer as its reader sees it: untyped, because its types are not ours to promise. */
// biome-ignore lint/suspicious/noExplicitAny: what a script gets from JSON.parse
function read(value: Json): any {
  return JSON.parse(jsonText(value));
}
const epoch = (seconds: number) => new Date(seconds * 1000).getTime() as ReturnType<typeof at>;

// v26.11/json-01-squeue, without what our records do not know (sluid, flags, sockets); patterns are expanded
const JOB = `{"account":"","accrue_time":{"set":true,"infinite":false,"number":1795216465},"admin_comment":"","allocating_node":"localhost","array_job_id":{"set":true,"infinite":false,"number":0},"array_task_id":{"set":false,"infinite":false,"number":0},"array_max_tasks":{"set":true,"infinite":false,"number":0},"array_task_string":"","association_id":0,"batch_features":"","batch_flag":true,"batch_host":"n1","burst_buffer":"","burst_buffer_state":"","cluster":"oracle26","cluster_features":"","command":"","comment":"cmt","container":"/tmp/berth-oracle/bundle","container_id":"cid1","contiguous":false,"core_spec":0,"thread_spec":32766,"cores_per_socket":{"set":false,"infinite":false,"number":0},"billable_tres":{"set":true,"infinite":false,"number":2},"cpus_per_task":{"set":true,"infinite":false,"number":1},"cpu_frequency_minimum":{"set":false,"infinite":false,"number":0},"cpu_frequency_maximum":{"set":false,"infinite":false,"number":0},"cpu_frequency_governor":{"set":false,"infinite":false,"number":0},"cpus_per_tres":"","cron":"","deadline":{"set":true,"infinite":false,"number":0},"delay_boot":{"set":true,"infinite":false,"number":0},"dependency":"","derived_exit_code":{"status":["SUCCESS"],"return_code":{"set":true,"infinite":false,"number":0},"signal":{"id":{"set":false,"infinite":false,"number":0},"name":""}},"eligible_time":{"set":true,"infinite":false,"number":1795216465},"end_time":{"set":true,"infinite":false,"number":1795217066},"excluded_nodes":"","exit_code":{"status":["SUCCESS"],"return_code":{"set":true,"infinite":false,"number":0},"signal":{"id":{"set":false,"infinite":false,"number":0},"name":""}},"extra":"","failed_node":"","features":"","federation_origin":"","federation_siblings_active":"","federation_siblings_viable":"","gres_detail":[],"group_id":2001,"group_name":"alice","het_job_id":{"set":true,"infinite":false,"number":0},"het_job_id_set":"","het_job_offset":{"set":true,"infinite":false,"number":0},"job_id":430,"job_size_str":[],"job_state":["RUNNING"],"last_sched_evaluation":{"set":true,"infinite":false,"number":1795216466},"licenses":"","licenses_allocated":"","mail_type":[],"mail_user":"alice","max_cpus":{"set":true,"infinite":false,"number":0},"max_nodes":{"set":true,"infinite":false,"number":0},"mcs_label":"","memory_per_tres":"","memory_update_delay":0,"memory_update_margin":0,"name":"json","network":"","nodes":"n1","nice":0,"tasks_per_core":{"set":false,"infinite":true,"number":0},"tasks_per_tres":{"set":true,"infinite":false,"number":0},"tasks_per_node":{"set":true,"infinite":false,"number":0},"tasks_per_socket":{"set":false,"infinite":true,"number":0},"tasks_per_board":{"set":true,"infinite":false,"number":0},"cpus":{"set":true,"infinite":false,"number":2},"node_count":{"set":true,"infinite":false,"number":1},"tasks":{"set":true,"infinite":false,"number":2},"partition":"debug","prefer":"","memory_per_cpu":{"set":false,"infinite":false,"number":0},"memory_per_node":{"set":true,"infinite":false,"number":100},"minimum_cpus_per_node":{"set":true,"infinite":false,"number":1},"minimum_tmp_disk_per_node":{"set":true,"infinite":false,"number":0},"preempt_time":{"set":true,"infinite":false,"number":0},"preemptable_time":{"set":true,"infinite":false,"number":0},"pre_sus_time":{"set":true,"infinite":false,"number":0},"hold":false,"priority":{"set":true,"infinite":false,"number":1},"priority_by_partition":[],"profile":["NOT_SET"],"qos":"","reboot":false,"required_nodes":"","required_switches":0,"requeue":true,"resize_time":{"set":true,"infinite":false,"number":0},"restart_cnt":0,"resv_name":"","runtime":"","scheduled_nodes":"","segment_size":0,"selinux_context":"","shared":[],"step_id":{"sluid":"","job_id":{"set":true,"infinite":false,"number":430},"step_het_component":{"set":false,"infinite":false,"number":0},"step_id":"entire"},"sockets_per_board":0,"sockets_per_node":{"set":false,"infinite":false,"number":0},"start_time":{"set":true,"infinite":false,"number":1795216466},"state_description":"","state_reason":"None","standard_input":"/dev/null","standard_output":"/tmp/berth-oracle26/w/slurm-430.out","standard_error":"/tmp/berth-oracle26/w/err.430","stdin_expanded":"/dev/null","stdout_expanded":"/tmp/berth-oracle26/w/slurm-430.out","stderr_expanded":"/tmp/berth-oracle26/w/err.430","submit_time":{"set":true,"infinite":false,"number":1795216465},"submit_line":"sbatch --parsable -J json -n2 --mem=100M -t 10 -e err.%j --comment cmt --container /tmp/berth-oracle/bundle --container-id=cid1 --wrap sleep 30","suspend_time":{"set":true,"infinite":false,"number":0},"system_comment":"","time_limit":{"set":true,"infinite":false,"number":10},"time_minimum":{"set":true,"infinite":false,"number":0},"threads_per_core":{"set":false,"infinite":false,"number":0},"tres_bind":"","tres_freq":"","tres_per_job":"","tres_per_node":"","tres_per_socket":"","tres_per_task":"","tres_req_str":"cpu=2,mem=100M,node=1,billing=2","tres_alloc_str":"cpu=2,node=1,billing=2","user_id":2001,"user_name":"alice","maximum_switch_wait_time":0,"wckey":"","current_working_directory":"/tmp/berth-oracle26/w"}`;
// v26.11/json-02-scontrol-sinfo; port, load, free memory and version are the fixture's
const NODE = `{"architecture":"x86_64","burstbuffer_network_address":"","boards":1,"boot_time":{"set":true,"infinite":false,"number":1795209126},"tls_cert_last_renewal":{"set":true,"infinite":false,"number":0},"cert_flags":[],"cluster_name":"","cores":1,"specialized_cores":0,"cpu_binding":0,"cpu_load":131,"free_mem":{"set":true,"infinite":false,"number":22559},"cpus":2,"effective_cpus":2,"specialized_cpus":"","energy":{"average_watts":0,"base_consumed_energy":0,"consumed_energy":0,"current_watts":{"set":true,"infinite":false,"number":0},"previous_consumed_energy":0,"last_collected":0},"extra":"","features":["fast"],"active_features":["fast"],"gpu_spec":"","gres":"gpu:2","gres_drained":"N/A","gres_used":"gpu:0","instance_id":"","instance_type":"","last_busy":{"set":true,"infinite":false,"number":1795216469},"mcs_label":"","specialized_memory":0,"name":"n1","next_state_after_reboot":["INVALID"],"address":"localhost","hostname":"localhost","state":["IDLE"],"operating_system":"Linux <kernel>","owner":"","partitions":["debug","short"],"port":0,"real_memory":4000,"res_cores_per_gpu":0,"comment":"","reason":"","reason_changed_at":{"set":true,"infinite":false,"number":0},"reason_set_by_user":"","resume_after":{"set":true,"infinite":false,"number":0},"reservation":"","suspend_time":{"set":false,"infinite":true,"number":0},"alloc_memory":0,"alloc_cpus":0,"alloc_idle_cpus":2,"tres_used":"","slurmd_start_time":{"set":true,"infinite":false,"number":1795214071},"sockets":2,"threads":1,"temporary_disk":0,"weight":1,"topology":"","tres":"cpu=2,mem=4000M,billing=2","version":"22.05.8"}`;
const PARTITION = `{"nodes":{"allowed_allocation":"","configured":"n1","total":1},"accounts":{"allowed":"","deny":""},"groups":{"allowed":""},"qos":{"allowed":"","deny":"","assigned":""},"alternate":"","tres":{"billing_weights":"","configured":"cpu=2,mem=4000M,node=1,billing=2"},"cluster":"","select_type":["NONE"],"cpus":{"task_binding":[],"total":2},"defaults":{"partition_memory_per_cpu":{"set":false,"infinite":false,"number":0},"partition_memory_per_node":{"set":true,"infinite":false,"number":0},"time":{"set":true,"infinite":false,"number":5},"job":""},"flags":[],"partition":{"exclusive":"NO","oversubscribe":"NO","state":["UP"]},"grace_time":0,"maximums":{"cpus_per_node":{"set":false,"infinite":true,"number":0},"cpus_per_socket":{"set":false,"infinite":true,"number":0},"partition_memory_per_cpu":{"set":false,"infinite":false,"number":0},"partition_memory_per_node":{"set":true,"infinite":false,"number":0},"nodes":{"set":false,"infinite":true,"number":0},"time":{"set":true,"infinite":false,"number":10},"over_time_limit":{"set":false,"infinite":false,"number":0}},"minimums":{"nodes":0},"name":"short","node_sets":"","preempt_mode":["CLUSTER_GLOBAL"],"priority":{"job_factor":1,"tier":1},"timeouts":{"resume":{"set":false,"infinite":false,"number":0},"suspend":{"set":false,"infinite":false,"number":0}},"topology":"","suspend_time":{"set":false,"infinite":false,"number":0}}`;
const SINFO = `{"port":0,"node":{"state":["IDLE"]},"nodes":{"allocated":0,"idle":1,"other":0,"total":1,"hostnames":[],"addresses":[],"nodes":["n1"]},"cpus":{"allocated":0,"idle":2,"other":0,"total":2,"minimum":2,"maximum":2,"load":{"minimum":131,"maximum":131},"per_node":{"max":{"set":false,"infinite":true,"number":0}}},"sockets":{"minimum":2,"maximum":2},"cores":{"minimum":1,"maximum":1},"threads":{"minimum":1,"maximum":1},"disk":{"minimum":0,"maximum":0},"memory":{"minimum":4000,"maximum":4000,"free":{"minimum":{"set":true,"infinite":false,"number":22559},"maximum":{"set":true,"infinite":false,"number":22559}},"allocated":0},"weight":{"minimum":1,"maximum":1},"features":{"total":"fast","active":"fast"},"gres":{"total":"gpu:2","used":"gpu:0"},"cluster":"","comment":"","extra":"","reason":{"description":"","time":0},"reservation":"","reason_set_by_user":"","resource_spec":{"cpus":"","memory":0}}`;

test("squeue, scontrol show job", () => {
  const record = job({
    id: 430,
    name: "json",
    priority: 1,
    qos: null,
    comment: "cmt",
    container: "/tmp/berth-oracle/bundle",
    containerId: "cid1",
    tasks: 2,
    memPerNodeMib: 100,
    timeLimitMinutes: 10,
    submittedAt: epoch(1795216465),
    eligibleAt: epoch(1795216465),
    startedAt: epoch(1795216466),
    lastSchedEvalAt: epoch(1795216466),
    stdout: "/tmp/berth-oracle26/w/slurm-430.out",
    stderr: "/tmp/berth-oracle26/w/err.430",
    workDir: "/tmp/berth-oracle26/w",
    requested: { cpus: 2, memMib: 100, nodes: 1, gres: {} },
    allocated: { cpus: 2, memMib: null, nodes: 1, gres: {} },
    submitLine:
      "sbatch --parsable -J json -n2 --mem=100M -t 10 -e err.%j --comment cmt --container /tmp/berth-oracle/bundle --container-id=cid1 --wrap sleep 30",
  });
  const answer = read(jobsJson([record], { ...request, nowMs: 1795216466_500 }));
  expect(Object.keys(answer)).toEqual(["jobs", "last_backfill", "last_update", "meta", "errors", "warnings"]);
  expect(answer.last_update).toEqual({ set: true, infinite: false, number: 1795216466 });
  expect(answer.meta).toEqual({
    plugin: { type: "", name: "", data_parser: "data_parser/v0.0.46", accounting_storage: "" },
    client: { source: "", user: "alice", group: "alice" },
    command: ["squeue", "--json"],
    slurm: { version: { major: "26", micro: "0", minor: "11" }, release: "26.11.0-0rc1", cluster: "oracle26" },
  });
  const { job_resources: resources, flags, ...rest } = answer.jobs[0];
  expect(rest).toEqual(JSON.parse(JOB));
  expect(flags).toContain("JOB_WAS_RUNNING");
  expect(resources.nodes).toMatchObject({ count: 1, list: "n1" });
});
test("a held array", () => {
  const held = pending({
    id: 431,
    priority: 0,
    reason: "JobHeldUser",
    eligibleAt: null,
    array: array(431, { pendingIndices: "1-3", throttle: 2 }),
  });
  const shown = read(jobsJson([held], request)).jobs[0];
  expect([
    shown.job_id,
    shown.array_job_id,
    shown.array_task_id,
    shown.array_task_string,
    shown.array_max_tasks,
    shown.job_state,
    shown.state_reason,
    shown.hold,
    shown.start_time,
  ]).toEqual([
    431,
    { set: true, infinite: false, number: 431 },
    { set: false, infinite: false, number: 0 },
    "1-3%2",
    { set: true, infinite: false, number: 2 },
    ["PENDING"],
    "JobHeldUser",
    true,
    { set: true, infinite: false, number: 0 },
  ]);
});
test("exit codes and flags", () => {
  const shown = read(
    jobsJson([job({ state: "FAILED", flags: ["COMPLETING"], exit: { code: 3, signal: 0 }, derivedExit: { code: 0, signal: 9 } })], request),
  ).jobs[0];
  expect(shown.job_state).toEqual(["FAILED", "COMPLETING"]);
  expect(shown.exit_code).toEqual({
    status: ["ERROR"],
    return_code: { set: true, infinite: false, number: 3 },
    signal: { id: { set: false, infinite: false, number: 0 }, name: "" },
  });
  expect(shown.derived_exit_code).toEqual({
    status: ["SIGNALED"],
    return_code: { set: true, infinite: false, number: 0 },
    signal: { id: { set: true, infinite: false, number: 9 }, name: "KILL" },
  });
  expect(shown.time_limit).toEqual({ set: false, infinite: true, number: 0 });
});

test("scontrol show node", () => {
  const answer = read(
    nodesJson([node({ bootedAt: epoch(1795209126), lastBusyAt: epoch(1795216469), daemonStartedAt: epoch(1795214071) })], request),
  );
  expect(Object.keys(answer).sort()).toEqual(["errors", "last_update", "meta", "nodes", "warnings"]);
  expect(answer.nodes).toEqual([JSON.parse(NODE)]);
});
test("scontrol show partition", () => expect(read(partitionsJson([SHORT], request)).partitions).toEqual([JSON.parse(PARTITION)]));
test("sinfo", () => {
  const answer = read(sinfoRowsJson([SHORT], [N1], request));
  expect(Object.keys(answer).sort()).toEqual(["errors", "meta", "sinfo", "warnings"]);
  const { partition, ...row } = answer.sinfo[0];
  expect(row).toEqual(JSON.parse(SINFO));
  expect(partition.name).toBe("short");
});
describe("sacct", () => {
  const rows = [
    accounted(job({ id: 107, name: "jsonj", state: "FAILED", exit: { code: 3, signal: 0 }, endedAt: NOW }), [
      step({ id: 107, name: "bash", state: "FAILED", exit: { code: 3, signal: 0 }, endedAt: NOW }),
      batchStep({ id: 107, state: "FAILED", endedAt: NOW }),
    ]),
  ];
  const shown = read(accountingJson(rows, request)).jobs[0];
  test("job", () => {
    expect(shown).toMatchObject({
      job_id: 107,
      name: "jsonj",
      user: "alice",
      cluster: "oracle26",
      nodes: "n1",
      allocation_nodes: 1,
      state: { current: ["FAILED"], reason: "None" },
      exit_code: { status: ["ERROR"], return_code: { number: 3 } },
      time: { elapsed: 1, limit: { infinite: true } },
      working_directory: "/tmp/berth-oracle/w",
    });
    expect(shown.tres.requested).toEqual([
      { type: "cpu", name: "", id: 1, count: 1 },
      { type: "mem", name: "", id: 2, count: 4000 },
      { type: "node", name: "", id: 4, count: 1 },
      { type: "billing", name: "", id: 5, count: 1 },
    ]);
  });
  test("steps", () =>
    // biome-ignore lint/suspicious/noExplicitAny: what a script gets from JSON.parse
    expect(shown.steps.map((one: any) => [one.step.id, one.step.name, one.state])).toEqual([
      ["107.batch", "batch", ["FAILED"]],
      ["107.0", "bash", ["FAILED"]],
    ]));
  test("scontrol show step", () =>
    expect(read(stepsJson([step()], request)).steps[0].nodes).toEqual({ count: 1, range: "n1", list: ["n1"] }));
});

test("yaml", () => {
  expect(yamlText({ a: 1, b: [], c: {}, d: ["x", "no", "1"], e: { f: null, "g h": "" }, i: [{ k: true }] })).toBe(
    `---\na: 1\nb: []\nc: {}\nd:\n  - x\n  - "no"\n  - "1"\ne:\n  f: null\n  "g h": ""\ni:\n  -\n    k: true\n...\n`,
  );
});
