/** Who asks the controller on one connection: the process at its other end, the allocations it holds, the steps it runs itself. */
import type { JobRecord } from "#job/record.ts";
import type { FrameConnection } from "#platform/frames.ts";
import { identify, type ProcessIdentity } from "#platform/process-tree.ts";
import { groupName, userName } from "#platform/users.ts";
import type { Submitter } from "./admission.ts";
import type { Controller } from "./controller.ts";
import { LiveJob, type Holder } from "./live-job.ts";
import type { AllocationNews } from "./wire.ts";

export class Caller {
  readonly #connection: FrameConnection;
  readonly #controller: Controller;
  readonly #outside: { readonly uid: number; readonly gid: number } | undefined;
  readonly #held = new Set<LiveJob>();
  /** To be asked when the connection closes: steps whose owner may have died before it listened. */
  readonly #owned = new Set<() => void>();
  readonly #gone = new AbortController();

  /** @param outside who the user is outside, when we run in a user namespace of podman or rootlesskit */
  constructor(connection: FrameConnection, controller: Controller, outside: { readonly uid: number; readonly gid: number } | undefined) {
    this.#connection = connection;
    this.#controller = controller;
    this.#outside = outside;
  }

  /** Aborts when the connection closes. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  get uid(): number {
    return this.#connection.peer.uid;
  }

  get pid(): number {
    return this.#connection.peer.pid;
  }

  get process(): ProcessIdentity {
    return identify(this.pid) ?? { pid: this.pid, startTicks: 0 };
  }

  get submitter(): Submitter {
    const { uid, gid } = this.#outside ?? this.#connection.peer;
    return { uid, gid, userName: userName(uid), groupName: groupName(gid) };
  }

  /** While request `id` waits for its answer. */
  tell(id: number, event: AllocationNews): void {
    this.#connection.sendJson({ id, event });
  }

  /** The holder of the allocation that request `id` asks for. */
  holder(id: number): Holder {
    return {
      process: this.process,
      connection: this.#connection,
      notify: (event) => this.tell(id, event),
      ended: () => undefined, // until `hold`
    };
  }

  /** An allocation is answered when it ends; until then its holder hears of it. */
  async hold(job: LiveJob | JobRecord): Promise<JobRecord> {
    if (!(job instanceof LiveJob)) return job;
    this.#held.add(job);
    const { promise, resolve } = Promise.withResolvers<JobRecord>();
    if (job.holder !== null) job.holder.ended = resolve;
    if (job.isRunning) job.holder?.notify({ kind: "granted", info: this.#controller.allocationInfo(job), waited: false });
    await Promise.resolve(); // the scheduling pass of this request comes first: only what waits is told that it does
    if (job.record.state === "PENDING") {
      job.holder?.notify({ kind: "queued", jobId: job.id, configUnavailable: job.record.reason === "PartitionConfig" });
    }
    const ended = await promise;
    this.#held.delete(job);
    return ended;
  }

  /** It runs a step itself; `check` is to be called when its connection has closed. */
  owns(check: () => void): void {
    this.#owned.add(check);
  }

  closed(): void {
    this.#gone.abort();
    for (const check of this.#owned) check();
    for (const job of this.#held) if (job.holder?.connection === this.#connection) this.#controller.holders.disconnected(job);
  }
}
