/**
 * A step in the hands of the process that asked for it: to the controller it looks like a step daemon. It listens at the
 * step's socket, writes the step's journal, and goes on when the controller is killed; the next one connects again, or finds the
 * end in the journal.
 *
 *   owner ─ createOwnStep ──► controller     spool and record are made
 *   owner   listens at the step's socket
 *   owner ─ ownStepReady ───► controller ─ control ──► owner
 *   owner ◄─ terminate, signal, message ─ controller
 *   owner ─ ended ──────────► controller ─ acknowledged ──► owner     the owner ends, the spool goes
 */
import { nowMs } from "#job/id.ts";
import { exitPair } from "#job/outcome.ts";
import type { JobRecord, StepRecord } from "#job/record.ts";
import type { FrameConnection } from "#platform/frames.ts";
import { LastingListener } from "#platform/lasting-listener.ts";
import type { ProcessIdentity } from "#platform/process-tree.ts";
import { Journal, type StepResult, type TerminateReason } from "#step/journal.ts";
import { parseToDaemon, type FromDaemon, type ToDaemon } from "#step/wire.ts";
import type { OwnStep, OwnStepEnd, OwnStepOrder } from "../own-step.ts";
import type { CreatedOwnStep } from "./wire.ts";

/** How long the end waits for a controller. Whoever waits for the container waits too; the journal has it anyway. */
const ACKNOWLEDGE_MS = 3000;
/** Slurm's way to say "killed for want of memory" in an exit status. */
const OUT_OF_MEMORY = { code: 0, signal: 125 };

export class EmbeddedOwnStep implements OwnStep {
  readonly step: StepRecord;
  readonly job: JobRecord;
  readonly environment: Readonly<Record<string, string>>;
  readonly gres: Readonly<Record<string, readonly number[]>>;
  readonly killWaitSeconds: number;
  readonly ready: Promise<void>;
  readonly #onOrder: (order: OwnStepOrder) => void;
  readonly #journal: Journal;
  readonly #listener: LastingListener;
  readonly #controllers = new Set<FrameConnection>();
  readonly #acknowledged = Promise.withResolvers<true>();
  #result: StepResult | undefined;
  #terminated: TerminateReason | null = null;

  constructor(
    created: CreatedOwnStep,
    options: { readonly onOrder: (order: OwnStepOrder) => void; readonly tellReady: () => Promise<void> },
  ) {
    this.#onOrder = options.onOrder;
    this.step = created.step;
    this.job = created.job;
    this.environment = created.environment;
    this.gres = created.gres;
    this.killWaitSeconds = created.killWaitSeconds;
    this.#journal = new Journal(created.spoolDir);
    this.#listener = new LastingListener(created.socketPath, (connection) => this.#welcome(connection));
    this.ready = options.tellReady();
    this.ready.catch(() => undefined); // whoever awaits it hears of it
  }

  started(process: ProcessIdentity): void {
    this.#journal.append({ kind: "started", task: 0, process });
  }

  async ended(end: OwnStepEnd): Promise<void> {
    const exit = end.outOfMemory ? OUT_OF_MEMORY : exitPair(end.status);
    const { userCpuMs, systemCpuMs, maxRssKib, outOfMemory } = end;
    const { step } = this;
    const usage = {
      userCpuMs,
      systemCpuMs,
      maxRssKib,
      maxRssTask: maxRssKib === null ? null : 0,
      maxRssNode: maxRssKib === null ? null : (step.nodes[0] ?? null),
    };
    const result: StepResult = {
      exit,
      usage,
      endedAt: nowMs(),
      launchFailure: null,
      terminated: this.#terminated,
      outOfMemory,
      annotations: step.annotations ?? {},
    };
    this.#result = result;
    this.#journal.append({ kind: "exited", task: 0, status: end.status, usage: null });
    this.#journal.append({ kind: "ended", result });
    await this.ready.catch(() => undefined); // a controller that has not come yet
    for (const controller of this.#controllers) controller.sendJson({ event: "ended", result } satisfies FromDaemon);
    // The controller removes the spool when our connection has closed; unread, it stays for the next one.
    await Promise.race([this.#acknowledged.promise, Bun.sleep(ACKNOWLEDGE_MS)]);
    this.#listener.stop();
    this.#journal[Symbol.dispose]();
  }

  #welcome(connection: FrameConnection): void {
    connection.handle({
      frame: (_type, payload) => {
        const message = parseToDaemon(payload);
        if (message === undefined) connection.close();
        else this.#obey(connection, message);
      },
      closed: () => {
        if (this.#controllers.delete(connection)) this.#listener.renew(); // the next one has to find us
      },
    });
  }

  #obey(connection: FrameConnection, message: ToDaemon): void {
    switch (message.op) {
      case "control":
        this.#controllers.add(connection);
        connection.sendJson({ event: "ready" } satisfies FromDaemon);
        if (this.#result !== undefined) connection.sendJson({ event: "ended", result: this.#result } satisfies FromDaemon);
        break;
      case "terminate":
        if (this.#terminated === null) this.#journal.append({ kind: "terminating", reason: message.reason });
        this.#terminated ??= message.reason;
        this.#onOrder({ kind: "terminate", reason: message.reason, hard: message.hard });
        break;
      case "signal":
        this.#onOrder({ kind: "signal", signal: message.signal });
        break;
      case "message":
        this.#onOrder({ kind: "message", text: message.text });
        break;
      case "acknowledged":
        this.#acknowledged.resolve(true);
        break;
      default:
        connection.close(); // an srun: there are no streams here
    }
  }
}
