/** cluster.json: what `up` has started, so that `status` and `down` find it again. Written beside and renamed. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { isAlive, type ProcessIdentity } from "#platform/process-tree.ts";

export interface DaemonRecord extends ProcessIdentity {
  /** `munged`, `slurmctld`, or the node's name for its slurmd. */
  readonly name: string;
}

export interface ClusterRecord {
  readonly nodes: number;
  readonly slurmVersion: string;
  /** In the environment of every daemon, and so of the step daemons that they start. */
  readonly mark: string;
  /** Whether slurmdbd and its database belong to it. */
  readonly hasDatabase?: boolean;
  readonly daemons: readonly DaemonRecord[];
}

export function readRecord(path: string): ClusterRecord | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as ClusterRecord; // our own file in our own 0700 directory
  } catch {
    return undefined;
  }
}

export function writeRecord(path: string, record: ClusterRecord): void {
  const part = `${path}.part`;
  writeFileSync(part, JSON.stringify(record, null, 2), { mode: 0o600 });
  renameSync(part, path);
}

export function deadDaemons(record: ClusterRecord): readonly DaemonRecord[] {
  return record.daemons.filter((daemon) => !isAlive(daemon));
}
