/** The controller's ear: connections, requests, answers. Decides nothing about jobs. */
import { BerthError } from "#job/errors.ts";
import type { JobRecord } from "#job/record.ts";
import { shownState } from "#job/state.ts";
import { VERSION } from "#job/version.ts";
import { listenFrames, parseJsonFrame, type FrameConnection } from "#platform/frames.ts";
import { sharesUserNamespace } from "#platform/namespaces.ts";
import { identify } from "#platform/process-tree.ts";
import { groupName, userName } from "#platform/users.ts";
import type { AccountingFilter, EngineInfo, JobFilter } from "../engine.ts";
import type { Submitter } from "./admission.ts";
import { describeConfig, nodeRecords, partitionRecords } from "./cluster-view.ts";
import type { Controller } from "./controller.ts";
import { LiveJob, type Holder } from "./live-job.ts";
import { packRecords } from "./packed-records.ts";
import { stepProcesses } from "./step-processes.ts";
import { applyUpdate } from "./update.ts";
import {
  MOVED,
  PACK_LEAST,
  PART_SIZE,
  type AllocationNews,
  type Answer,
  type DaemonStatus,
  type Operation,
  type Operations,
  type Request,
  type WireError,
} from "./wire.ts";

export interface ServerOptions {
  readonly controller: Controller;
  readonly socketPath: string;
  readonly logFile: string;
  readonly host: string;
  /** What the predecessor left is taken up: until then nobody is answered, because half the jobs would be unknown. */
  readonly recovered: Promise<void>;
  /** Who the user is outside, when we run in a user namespace of podman or rootlesskit (docs/scrun.md). */
  readonly outside: { readonly uid: number; readonly gid: number } | undefined;
  readonly onStop: (options: { readonly cancelJobs: boolean; readonly by: number }) => Promise<void>;
}

export class Server {
  readonly #options: ServerOptions;
  readonly #listener: { stop(): void };

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#listener = listenFrames(options.socketPath, (connection) => this.#welcome(connection));
  }

  stop(): void {
    this.#listener.stop();
  }

  #welcome(connection: FrameConnection): void {
    const client = new Client(connection, this.#options);
    connection.handle({
      frame: (_type, payload) => {
        let message: unknown;
        try {
          message = parseJsonFrame(payload);
        } catch {
          connection.close();
          return;
        }
        if (isSpare(message)) this.#options.controller.pool.add(connection);
        else client.take(message);
      },
      closed: () => client.closed(),
    });
  }
}

function isSpare(message: unknown): boolean {
  return typeof message === "object" && message !== null && "event" in message && message.event === "spare";
}

/** One connection of a command. */
class Client {
  readonly #connection: FrameConnection;
  readonly #options: ServerOptions;
  readonly #held = new Set<LiveJob>();
  /** To be asked when the connection closes: steps whose owner may have died before it listened. */
  readonly #owned = new Set<() => void>();
  readonly #gone = new AbortController();

  constructor(connection: FrameConnection, options: ServerOptions) {
    this.#connection = connection;
    this.#options = options;
  }

  get #controller(): Controller {
    return this.#options.controller;
  }

  closed(): void {
    this.#gone.abort();
    for (const check of this.#owned) check();
    for (const job of this.#held) if (job.holder?.connection === this.#connection) this.#controller.holderDisconnected(job);
  }

  take(message: unknown): void {
    if (!isRequest(message)) {
      this.#connection.close();
      return;
    }
    void this.#answer(message);
  }

  async #answer(request: Request): Promise<void> {
    const { id } = request;
    try {
      if (request.version !== VERSION && !OF_ANY_VERSION.has(request.op)) {
        throw new BerthError("VERSION", `The controller is Berth ${VERSION}, this command is ${request.version}`, {
          hint: "run: berth daemon restart   (jobs that run go on)",
        });
      }
      if (this.#options.outside !== undefined && !sharesUserNamespace(this.#connection.peer.pid)) {
        await this.#makeWay();
        this.#send({ id, error: { code: MOVED, message: "the controller makes way for one outside", hint: null, before: [] } });
        return;
      }
      await this.#options.recovered;
      const handler = this.#handlers[request.op] as (args: unknown, id: number) => unknown;
      const result = await handler(request.args, id);
      if (Array.isArray(result)) this.#sendList(id, result);
      else this.#send({ id, result: result ?? null });
    } catch (error) {
      this.#send({ id, error: this.#wireError(error, request.op) });
    }
  }

  /**
   * Jobs of users must not run in podman's user namespace: who comes from outside gets a controller there. Nothing of this
   * request was done.
   */
  async #makeWay(): Promise<void> {
    await this.#options.onStop({ cancelJobs: false, by: this.#connection.peer.uid });
  }

  #wireError(error: unknown, op: string): WireError {
    if (error instanceof BerthError) return { code: error.code, message: error.message, hint: error.hint ?? null, before: error.before };
    if (this.#gone.signal.aborted) return { code: "GONE", message: "the caller has gone", hint: null, before: [] };
    const stateDir = this.#controller.paths.state;
    if (isStorageError(error))
      return {
        code: "STORE",
        message: `Cannot write to ${stateDir}: ${error.message}`,
        hint: "make room there; what was accepted before is safe",
        before: [],
      };
    this.#controller.log("request.failed", { op, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    return {
      code: "INTERNAL",
      message: `The controller failed to do "${op}"`,
      hint: `its log says more: ${this.#options.logFile}`,
      before: [],
    };
  }

  #send(answer: Answer): void {
    this.#connection.sendJson(answer);
  }

  #sendList(id: number, list: readonly unknown[]): void {
    for (let start = 0; start < list.length; start += PART_SIZE) {
      const part: readonly unknown[] = list.slice(start, start + PART_SIZE);
      if (part.length >= PACK_LEAST && part.every(isObject)) this.#send({ id, packed: packRecords(part) });
      else this.#send({ id, part });
    }
    this.#send({ id, result: null });
  }

  get #submitter(): Submitter {
    const { uid, gid } = this.#options.outside ?? this.#connection.peer;
    return { uid, gid, userName: userName(uid), groupName: groupName(gid) };
  }

  #holder(id: number): Holder {
    const process = identify(this.#connection.peer.pid) ?? { pid: this.#connection.peer.pid, startTicks: 0 };
    return {
      process,
      connection: this.#connection,
      notify: (event: AllocationNews) => this.#send({ id, event }),
      ended: (job) => this.#send({ id, result: job }),
    };
  }

  /** An allocation is answered when it ends; until then its holder hears of it. */
  async #hold(job: LiveJob | JobRecord): Promise<JobRecord> {
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

  readonly #handlers: { readonly [Op in Operation]: (args: Operations[Op]["args"], id: number) => unknown } = {
    info: () => this.#info(),
    submit: async ({ request, token }) => {
      const job = this.#controller.submit(request, this.#submitter, { token, holder: null });
      await this.#controller.store.sync();
      return { jobId: job instanceof LiveJob ? job.id : job.jobId };
    },
    allocate: ({ request, token }, id) => {
      const holder = this.#holder(id);
      const job = this.#controller.submit(request, this.#submitter, { token, holder });
      // Asked again with the same token, after a controller was killed before it could answer: the job is there, the holder is new.
      if (job instanceof LiveJob && job.holder !== holder) return this.#hold(this.#controller.resumeHolding(job.id, holder));
      return this.#hold(job);
    },
    resumeAllocation: ({ jobId }, id) => this.#hold(this.#controller.resumeHolding(jobId, this.#holder(id))),
    releaseAllocation: ({ jobId, exit }) => this.#controller.releaseAllocation(jobId, exit),
    detachAllocation: ({ jobId }) => this.#controller.detach(jobId),
    findAllocation: ({ jobId }) => this.#controller.allocationInfo(this.#controller.findRunning(jobId)),
    createStep: ({ request }, id) =>
      this.#controller.createStep(request, {
        signal: this.#gone.signal,
        onWait: (text) => this.#send({ id, event: { kind: "waiting", text } }),
      }),
    measureSteps: ({ jobIds }) => jobIds.flatMap((jobId) => this.#controller.measureSteps(jobId)),
    findStep: ({ jobId, stepKey }) => this.#controller.findStep(jobId, stepKey),
    createOwnStep: ({ request }) => {
      const peer = this.#connection.peer.pid;
      return this.#controller.createOwnStep(request, identify(peer) ?? { pid: peer, startTicks: 0 }, (check) => this.#owned.add(check));
    },
    ownStepReady: ({ jobId, stepKey }) => this.#controller.ownStepReady(jobId, stepKey),
    tryJob: ({ request }) => this.#controller.passes.estimate(request, this.#submitter),
    cancel: (target) => this.#controller.cancel(target, this.#connection.peer.uid),
    cancelEach: ({ targets }) =>
      this.#controller
        .cancelEach(targets, this.#connection.peer.uid)
        .map((error) => (error === null ? null : this.#wireError(error, "cancelEach"))),
    signal: (target) => this.#controller.control.signal(target, this.#connection.peer.uid),
    hold: (target) => this.#controller.control.hold(target),
    release: (target) => this.#controller.control.releaseHold(target),
    notify: ({ text, ...target }) => this.#controller.control.notify(target, text),
    requeue: (target) => this.#controller.control.requeue(target),
    suspend: (target) => this.#controller.control.suspend(target),
    resume: (target) => this.#controller.control.resume(target),
    update: (target) => applyUpdate(this.#controller, target),
    updateNodes: ({ names, changes }) => {
      this.#controller.nodesFell(this.#controller.cluster.updateNodes(names, changes, this.#submitter.userName));
      this.#controller.requestPass();
    },
    updatePartition: ({ name, changes }) => {
      this.#controller.cluster.updatePartition(name, changes);
      this.#controller.requestPass();
    },
    jobs: (filter) => this.#controller.book.records(filter.jobIds).filter((job) => matches(job, filter)),
    steps: ({ jobId }) => [...this.#controller.book.stepRecords()].filter((step) => jobId === null || step.jobId === jobId),
    processes: ({ jobId }) => stepProcesses(this.#controller.paths, this.#controller.book.live.values(), jobId),
    nodes: () => nodeRecords(this.#controller),
    partitions: () => partitionRecords(this.#controller.config),
    config: () => describeConfig(this.#controller, this.#options.host),
    accounting: (filter) => this.#accounting(filter),
    batchScript: ({ jobId }) => this.#controller.book.batchScript(jobId),
    waitForEnd: ({ jobId }) => this.#controller.book.waitForEnd(jobId, this.#gone.signal),
    status: () => this.#status(),
    stop: async ({ cancelJobs }) => {
      await this.#options.onStop({ cancelJobs, by: this.#connection.peer.uid });
    },
  };

  #accounting(filter: AccountingFilter): readonly JobRecord[] {
    return this.#controller.store
      .accounting(filter)
      .map((job) => (job.earlierRun === undefined ? { ...job, ...this.#controller.book.record(job.jobId) } : job))
      .filter((job) => matches(job, filter));
  }

  #info(): EngineInfo {
    const { config } = this.#controller;
    return {
      engine: "embedded",
      clusterName: config.clusterName,
      host: this.#options.host,
      version: VERSION,
      configFile: config.file,
      killWaitSeconds: config.killWaitSeconds,
      firstPartition: config.partitions.find((partition) => partition.isDefault)?.name ?? "",
    };
  }

  #status(): DaemonStatus {
    return {
      pid: process.pid,
      version: VERSION,
      startedAt: this.#controller.startedAt,
      liveJobs: this.#controller.book.liveJobs,
      runningSteps: Array.from(this.#controller.book.runningSteps(), ({ run, stepKey }) => ({ jobId: run.jobId, stepKey })),
      stateDir: this.#controller.paths.state,
      logFile: this.#options.logFile,
      passes: this.#controller.passes.times,
    };
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The disk is full, or refuses to be written to. */
function isStorageError(error: unknown): error is Error {
  return (
    error instanceof Error &&
    "code" in error &&
    typeof error.code === "string" &&
    /^(SQLITE_(FULL|IOERR|READONLY)|ENOSPC|EDQUOT|EROFS|EIO)/.test(error.code)
  );
}

function isRequest(message: unknown): message is Request {
  return (
    typeof message === "object" &&
    message !== null &&
    "id" in message &&
    typeof message.id === "number" &&
    "op" in message &&
    typeof message.op === "string" &&
    OPERATIONS.has(message.op) &&
    "args" in message &&
    typeof message.args === "object" &&
    message.args !== null &&
    "version" in message
  );
}

/** What `berth daemon restart` of another version asks: without them an upgrade could not end the controller that refuses it. */
const OF_ANY_VERSION: ReadonlySet<Operation> = new Set<Operation>(["status", "stop"]);

const OPERATIONS: ReadonlySet<string> = new Set<Operation>([
  "info",
  "submit",
  "allocate",
  "resumeAllocation",
  "releaseAllocation",
  "detachAllocation",
  "findAllocation",
  "createStep",
  "measureSteps",
  "findStep",
  "createOwnStep",
  "ownStepReady",
  "tryJob",
  "cancel",
  "cancelEach",
  "signal",
  "hold",
  "release",
  "notify",
  "requeue",
  "suspend",
  "resume",
  "update",
  "updateNodes",
  "updatePartition",
  "jobs",
  "steps",
  "processes",
  "nodes",
  "partitions",
  "config",
  "accounting",
  "batchScript",
  "waitForEnd",
  "status",
  "stop",
]);

function matches(job: JobRecord, filter: JobFilter): boolean {
  const has = <T>(list: readonly T[] | null, value: T) => list === null || list.includes(value);
  return (
    (filter.jobIds === null || filter.jobIds.includes(job.jobId) || (job.array !== null && filter.jobIds.includes(job.array.jobId))) &&
    has(filter.userIds, job.userId) &&
    (filter.states === null || filter.states.includes(shownState(job)) || filter.states.includes(job.state)) &&
    has(filter.names, job.name) &&
    has(filter.partitions, job.partition)
  );
}
