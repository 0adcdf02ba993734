/**
 * Containers of podman and docker where jobs run on other hosts: files are brought to a node of the job, and the process
 * runs there, on streams of the caller's.
 */
import type { JobId } from "#job/id.ts";
import type { ExitStatus } from "#job/outcome.ts";
import type { Cancellable } from "./engine.ts";

export interface RemoteContainers {
  /** Over when everything is there and the step is being launched. @throws BerthError */
  start(request: RemoteContainerRequest, options: Cancellable): Promise<RemoteContainer>;
  /** The command that runs a process in it, on its caller's streams. */
  execCommand(container: RemotePlace, process: string, options: { readonly hasTerminal: boolean }): RemoteCommand;
  /** The command that asks the container's runtime on its node; answer and error are its streams'. */
  askCommand(container: RemotePlace, question: ContainerQuestion): RemoteCommand;
  /** One signal to every process of it. */
  signal(place: RemotePlace, signal: number): Promise<void>;
}

/** What the runtime on the node is asked for, in its own words. */
export type ContainerQuestion =
  | {
      readonly op: "ps";
      readonly format: string;
      readonly psArgs: readonly string[];
      /** Where the answer's numbers are to mean something (hostKey); null: on the node. */
      readonly numbersOf: string | null;
    }
  | { readonly op: "events"; readonly shownId: string; readonly isOnce: boolean; readonly intervalMs: number }
  /** `resources`: an OCI resources object, as JSON. */
  | { readonly op: "update"; readonly options: readonly string[]; readonly resources: string | null };

/** Enough to find it again from another process. */
export interface RemotePlace {
  readonly jobId: number;
  readonly step: string;
  readonly node: string;
  /** Berth's, on the node. */
  readonly executable: string;
}

export interface RemoteContainerRequest {
  readonly jobId: JobId;
  readonly node: string;
  readonly name: string;
  /** As the engine knows it, for accounting. */
  readonly bundle: string;
  readonly containerId: string;
  readonly rootfs: string;
  /** Somebody has brought the root file system to the node already. */
  readonly isStaged: boolean;
  /** Small ones of this host that go along, by the name that they have in `box`. */
  readonly files: ReadonlyMap<string, string>;
  /** config.json for a root file system and a directory of `files` that are elsewhere on the node. */
  readonly config: (onNode: { readonly rootfs: string; readonly box: string }) => string;
  readonly args: readonly string[];
  readonly streams: readonly [stdin: number, stdout: number, stderr: number];
  /** The first two streams are a terminal, which shall be the container's. */
  readonly hasTerminal: boolean;
  /** What Slurm says of the step, for whoever reads the container's standard error. */
  readonly onMessage: (text: string) => void;
}

export interface RemoteContainer {
  /** Resolves when the task has been launched; rejects when it never is. */
  readonly started: Promise<RemotePlace>;
  readonly exited: Promise<ExitStatus>;
}

export interface RemoteCommand {
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
}
