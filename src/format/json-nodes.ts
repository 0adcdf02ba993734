/** nodes[], partitions[] and sinfo[] of 26.11's JSON. */
import type { NodeRecord, PartitionRecord } from "#job/record.ts";
import { INFINITE, limit, number, time, UNSET, type Json } from "./json-values.ts";
import { nodeStateFlags } from "./node-state.ts";
import { nodesText } from "./nodes-text.ts";
import { allocatedTres, nodeTres, partitionTres } from "./scontrol.ts";
import { cpuCounts, nodeCounts, usedGres } from "./sinfo-fields.ts";

function load(node: NodeRecord): number {
  return Math.round((node.load ?? 0) * 100);
}
function gresInUse(node: NodeRecord): string {
  return node.gres === null ? "" : usedGres(node);
}

export function nodeJson(node: NodeRecord): Json {
  return {
    architecture: node.arch,
    burstbuffer_network_address: "",
    boards: 1,
    boot_time: time(node.bootedAt),
    tls_cert_last_renewal: number(0),
    cert_flags: [],
    cluster_name: "",
    cores: node.coresPerSocket,
    specialized_cores: 0,
    cpu_binding: 0,
    cpu_load: load(node),
    free_mem: number(node.freeMemMib),
    cpus: node.cpus,
    effective_cpus: node.cpus,
    specialized_cpus: "",
    energy: {
      average_watts: 0,
      base_consumed_energy: 0,
      consumed_energy: 0,
      current_watts: number(0),
      previous_consumed_energy: 0,
      last_collected: 0,
    },
    extra: "",
    features: [...node.features],
    active_features: [...node.features],
    gpu_spec: "",
    gres: node.gres ?? "",
    gres_drained: "N/A",
    gres_used: gresInUse(node),
    instance_id: "",
    instance_type: "",
    last_busy: time(node.lastBusyAt),
    mcs_label: "",
    specialized_memory: 0,
    name: node.name,
    next_state_after_reboot: ["INVALID"],
    address: node.address,
    hostname: node.hostName,
    state: nodeStateFlags(node),
    operating_system: node.os,
    owner: "",
    partitions: [...node.partitions],
    port: 0,
    real_memory: node.memMib,
    res_cores_per_gpu: 0,
    comment: "",
    reason: node.reason ?? "",
    reason_changed_at: time(node.reasonAt),
    reason_set_by_user: node.reasonUser ?? "",
    resume_after: number(0),
    reservation: "",
    suspend_time: INFINITE,
    alloc_memory: node.allocatedMemMib,
    alloc_cpus: node.allocatedCpus,
    alloc_idle_cpus: node.cpus - node.allocatedCpus,
    tres_used: allocatedTres(node),
    slurmd_start_time: time(node.daemonStartedAt),
    sockets: node.sockets,
    threads: node.threadsPerCore,
    temporary_disk: node.tmpDiskMib,
    weight: node.weight,
    topology: "",
    tres: nodeTres(node),
    version: node.version,
  };
}

export function partitionJson(partition: PartitionRecord): Json {
  const flags: string[] = [];
  if (partition.isDefault) flags.push("DEFAULT");
  if (partition.isHidden) flags.push("HIDDEN");
  if (partition.isRootOnly) flags.push("ROOT_ONLY");
  return {
    nodes: { allowed_allocation: "", configured: nodesText(partition.nodes), total: partition.totalNodes },
    accounts: { allowed: "", deny: "" },
    groups: { allowed: partition.allowGroups?.join(",") ?? "" },
    qos: { allowed: "", deny: "", assigned: "" },
    alternate: "",
    tres: { billing_weights: "", configured: partitionTres(partition) },
    cluster: "",
    select_type: ["NONE"],
    cpus: { task_binding: [], total: partition.totalCpus },
    defaults: {
      partition_memory_per_cpu: UNSET,
      partition_memory_per_node: number(0),
      time: number(partition.defaultTimeMinutes),
      job: "",
    },
    flags,
    partition: { exclusive: "NO", oversubscribe: partition.oversubscribe, state: [partition.state] },
    grace_time: 0,
    maximums: {
      cpus_per_node: limit(partition.maxCpusPerNode),
      cpus_per_socket: INFINITE,
      partition_memory_per_cpu: UNSET,
      partition_memory_per_node: number(0),
      nodes: limit(partition.maxNodes),
      time: limit(partition.maxTimeMinutes),
      over_time_limit: UNSET,
    },
    minimums: { nodes: partition.minNodes },
    name: partition.name,
    node_sets: "",
    preempt_mode: ["CLUSTER_GLOBAL"],
    priority: { job_factor: partition.priorityJobFactor, tier: partition.priorityTier },
    timeouts: { resume: UNSET, suspend: UNSET },
    topology: "",
    suspend_time: UNSET,
  };
}

/** A row for each partition, node state, feature set, GRES and reason. */
export function sinfoJson(partitions: readonly PartitionRecord[], nodes: readonly NodeRecord[]): Json[] {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  return partitions.flatMap((partition) => {
    const known = partition.nodes.map((name) => byName.get(name)).filter((node) => node !== undefined);
    const groups = Map.groupBy(known, (node) =>
      JSON.stringify([nodeStateFlags(node), node.features, node.gres, gresInUse(node), node.reason]),
    );
    return [...groups.values()].map((group) => sinfoRow(partition, group));
  });
}

function sinfoRow(partition: PartitionRecord, nodes: readonly NodeRecord[]): Json {
  const [first] = nodes;
  const extremes = (value: (node: NodeRecord) => number) => {
    const values = nodes.map(value);
    return { minimum: Math.min(...values), maximum: Math.max(...values) };
  };
  const free = nodes.map((node) => node.freeMemMib).filter((value) => value !== null);
  return {
    port: 0,
    node: { state: first === undefined ? [] : nodeStateFlags(first) },
    nodes: { ...nodeCounts(nodes), hostnames: [], addresses: [], nodes: nodes.map((node) => node.name) },
    cpus: {
      ...cpuCounts(nodes),
      ...extremes((node) => node.cpus),
      load: extremes(load),
      per_node: { max: limit(partition.maxCpusPerNode) },
    },
    sockets: extremes((node) => node.sockets),
    cores: extremes((node) => node.coresPerSocket),
    threads: extremes((node) => node.threadsPerCore),
    disk: extremes((node) => node.tmpDiskMib),
    memory: {
      ...extremes((node) => node.memMib),
      free: {
        minimum: number(free.length === 0 ? null : Math.min(...free)),
        maximum: number(free.length === 0 ? null : Math.max(...free)),
      },
      allocated: nodes.reduce((sum, node) => sum + node.allocatedMemMib, 0),
    },
    weight: extremes((node) => node.weight),
    features: { total: first?.features.join(",") ?? "", active: first?.features.join(",") ?? "" },
    gres: { total: first?.gres ?? "", used: first === undefined ? "" : gresInUse(first) },
    cluster: "",
    comment: "",
    extra: "",
    reason: { description: first?.reason ?? "", time: Math.floor((first?.reasonAt ?? 0) / 1000) },
    reservation: "",
    reason_set_by_user: first?.reasonUser ?? "",
    resource_spec: { cpus: "", memory: 0 },
    partition: partitionJson(partition),
  };
}
