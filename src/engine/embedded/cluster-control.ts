/**
 * `scontrol update NodeName=…` and `PartitionName=…`: whoever owns the embedded engine is its cluster's administrator.
 * berth.conf says what the cluster is; what is changed here lies over it, is kept in the store, and outlives the controller.
 */
import { BerthError, slurmError } from "#job/errors.ts";
import { nowMs, type EpochMs } from "#job/id.ts";
import { parseDuration } from "#options/duration.ts";
import type { ClusterConfig, NodeConfig, PartitionConfig } from "./config.ts";
import type { Store } from "./store.ts";

export interface NodeNote {
  readonly text: string;
  readonly user: string;
  readonly at: EpochMs;
}

interface Saved {
  readonly nodes: Readonly<Record<string, { readonly state: NodeConfig["state"]; readonly note: NodeNote | null }>>;
  readonly partitions: Readonly<Record<string, Partial<Pick<PartitionConfig, "state" | "maxTimeMinutes" | "defaultTimeMinutes">>>>;
}

const META_KEY = "clusterChanges";
const NODE_STATES: Readonly<Record<string, NodeConfig["state"]>> = {
  DRAIN: "DRAIN",
  DOWN: "DOWN",
  RESUME: "UP",
  IDLE: "UP",
  UNDRAIN: "UP",
};
const PARTITION_STATES: readonly PartitionConfig["state"][] = ["UP", "DOWN", "DRAIN", "INACTIVE"];

export class ClusterControl {
  readonly #config: ClusterConfig;
  readonly #store: Store;
  readonly #notes = new Map<string, NodeNote>();
  #saved: Saved = { nodes: {}, partitions: {} };

  constructor(config: ClusterConfig, store: Store) {
    this.#config = config;
    this.#store = store;
    const text = store.meta(META_KEY);
    if (text !== undefined) this.#apply(JSON.parse(text) as Saved);
  }

  /** Names that berth.conf no longer has are passed over. */
  #apply(saved: Saved): void {
    this.#saved = saved;
    for (const node of this.#config.nodes) {
      const change = saved.nodes[node.name];
      if (change === undefined) continue;
      node.state = change.state;
      if (change.note === null) this.#notes.delete(node.name);
      else this.#notes.set(node.name, change.note);
    }
    for (const partition of this.#config.partitions) Object.assign(partition, saved.partitions[partition.name]);
  }

  #save(saved: Saved): void {
    this.#store.setMeta(META_KEY, JSON.stringify(saved));
    this.#apply(saved);
  }

  /** Why a node was drained or taken down. */
  noteOf(node: string): NodeNote | null {
    return this.#notes.get(node) ?? null;
  }

  /** @returns the nodes that went down by this @throws BerthError when a name or value is unknown; then nothing has changed */
  updateNodes(names: readonly string[], changes: Readonly<Record<string, string>>, user: string): string[] {
    const nodes = names.map((name) => this.#config.nodes.find((node) => node.name === name) ?? unknownNode());
    for (const key of Object.keys(changes)) if (key !== "State" && key !== "Reason") refuse(key, changes[key]);
    const word = changes["State"]?.toUpperCase();
    const state = word === undefined ? undefined : (NODE_STATES[word] ?? invalid(`Invalid input: ${changes["State"]}`));
    const reason = changes["Reason"];
    if ((state === "DRAIN" || state === "DOWN") && (reason ?? "") === "" && nodes.some(({ name }) => !this.#notes.has(name))) {
      throw new BerthError("UPDATE_VALUE", "You must specify a reason when DOWNING or DRAINING a node. Request denied");
    }
    const note = reason === undefined || reason === "" ? null : { text: reason, user, at: nowMs() };
    const changed = nodes.map((node) => {
      const isUp = (state ?? node.state) === "UP";
      return [
        node.name,
        { state: state ?? node.state, note: isUp && state !== undefined ? null : (note ?? this.noteOf(node.name)) },
      ] as const;
    });
    const fallen = nodes.filter((node) => state === "DOWN" && node.state !== "DOWN").map(({ name }) => name);
    this.#save({ ...this.#saved, nodes: { ...this.#saved.nodes, ...Object.fromEntries(changed) } });
    return fallen;
  }

  updatePartition(name: string, changes: Readonly<Record<string, string>>): void {
    if (!this.#config.partitions.some((partition) => partition.name === name)) throw slurmError("INVALID_PARTITION");
    const change: { -readonly [K in keyof Saved["partitions"][string]]: Saved["partitions"][string][K] } = {
      ...this.#saved.partitions[name],
    };
    for (const [key, value] of Object.entries(changes)) {
      if (key === "State")
        change.state = PARTITION_STATES.find((state) => state === value.toUpperCase()) ?? invalid(`Invalid input: State=${value}`);
      else if (key === "MaxTime") change.maxTimeMinutes = limit(key, value);
      else if (key === "DefaultTime") change.defaultTimeMinutes = limit(key, value);
      else refuse(key, value);
    }
    this.#save({ ...this.#saved, partitions: { ...this.#saved.partitions, [name]: change } });
  }
}

function limit(key: string, value: string): number | null {
  const minutes = parseDuration(value) ?? invalid(`Invalid input: ${key}=${value}`);
  return minutes === "unlimited" ? null : minutes;
}

function invalid(message: string): never {
  throw new BerthError("UPDATE_VALUE", message);
}

function unknownNode(): never {
  throw slurmError("INVALID_NODE_NAME");
}

function refuse(key: string, value: string | undefined): never {
  throw new BerthError("UPDATE_UNSUPPORTED", `Update of this parameter is not supported: ${key}=${value ?? ""}`);
}
