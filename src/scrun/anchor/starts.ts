/**
 * Who asks for a container's start, and what they hear while it waits for something: start itself, which can wait for a time (start-wait.ts),
 * and the launcher, which cannot and is sent the long way (launcher/quick-start.ts).
 */
import type { FrameConnection } from "#platform/frames.ts";
import type { ContainerStatus, FromAnchor } from "../anchor-wire.ts";
import { QuickStart } from "../launcher/quick-start.ts";
import type { ContainerPlace } from "../place.ts";
import type { StartWait } from "../start-wait.ts";

/** resources: of the queue; staging: by a scrun.lua; container: one whose namespaces it joins; node: to have what is sent there. */
export type WaitsFor = "resources" | "staging" | "container" | "node";

/** Whoever has asked. */
export interface Starter {
  say(message: FromAnchor): void;
}

/** The container that is to be started. */
export interface Startable {
  status: ContainerStatus;
  readonly jobId: number | null;
  /** Where its own standard error goes. */
  print(line: string): void;
}

/** Who would not wait for a queue waits for what is granted and on its way: mostly less than a second, longer when an image is sent. */
const NODE_MS = 5000;

const LAUNCHER = "launcher";

export class Starts {
  readonly #container: Startable;
  readonly #wanted = Promise.withResolvers<void>();
  readonly #starters = new Map<FrameConnection | typeof LAUNCHER, Starter>();
  /** The launcher was sent the long way. */
  #isOwed = false;
  #quick: QuickStart | undefined;
  #waitsFor: WaitsFor | undefined;
  /** Runs while a start waits; null when it has waited long enough. */
  #timer: ReturnType<typeof setTimeout> | null | undefined;

  constructor(container: Startable) {
    this.#container = container;
  }

  /** Somebody has asked. */
  get wanted(): Promise<void> {
    return this.#wanted.promise;
  }

  get isAwaited(): boolean {
    return this.#starters.size > 0;
  }

  /** Nobody asks before the container is created. */
  listenToLauncher(place: ContainerPlace): void {
    const quick = new QuickStart(place, () => this.ask(LAUNCHER, quick, "infinite"));
    this.#quick = quick;
  }

  ask(key: FrameConnection | typeof LAUNCHER, starter: Starter, wait: StartWait): void {
    const { status } = this.#container;
    const isOwed = this.#isOwed;
    this.#isOwed = false;
    if (status !== "created") {
      if (isOwed) starter.say(status === "stopped" ? endedBefore() : { event: "started" });
      else starter.say(failed(`cannot start ${status === "stopped" ? "a container that has stopped" : "an already running container"}`));
      return;
    }
    this.#starters.set(key, starter);
    this.#wanted.resolve();
    if (wait === 0) this.#timer = null;
    else if (wait !== "infinite") this.#timer ??= setTimeout(() => this.#giveIn(), wait * 1000);
    if (wait === 0 && this.#waitsFor !== undefined) this.#giveIn();
    else this.#tellWaiting();
  }

  forget(connection: FrameConnection): void {
    this.#starters.delete(connection);
  }

  /** Undefined: nothing is waited for any more. */
  waitFor(what: WaitsFor | undefined): void {
    this.#waitsFor = what;
    if (what === "node" && this.#timer === null) this.#timer = setTimeout(() => this.#giveIn(), NODE_MS);
    else if (what !== undefined && this.#timer === null) this.#giveIn();
    else if (what === "resources" || what === "staging") this.#tellWaiting();
    if (what !== undefined) this.#sendLauncherAway();
  }

  get waitsFor(): WaitsFor | undefined {
    return this.#waitsFor;
  }

  /** What for, in words; null when it waits for nothing. */
  get waiting(): string | null {
    return this.#waitsFor === undefined ? null : this.#text();
  }

  /** Whoever waits for the start. */
  tell(message: FromAnchor): void {
    for (const starter of this.#starters.values()) starter.say(message);
  }

  started(): void {
    this.tell({ event: "started" });
    clearTimeout(this.#timer ?? undefined);
    this.#starters.clear();
  }

  notStarted(message: string): void {
    if (!this.isAwaited) this.#container.print(`scrun: error: ${message}`);
    this.tell(failed(message));
    this.#starters.clear();
  }

  /** Who waits does so in vain. */
  ended(): void {
    this.tell(endedBefore());
  }

  close(): void {
    clearTimeout(this.#timer ?? undefined);
    this.#quick?.close();
  }

  /** The engine has its container back, as one that runs; whoever looks at it hears that it does not yet. */
  #giveIn(): void {
    const container = this.#container;
    const hasWaited = this.#timer !== null;
    this.#timer = null;
    if (this.#waitsFor === undefined || container.status !== "created" || !this.isAwaited) return;
    container.status = "running";
    const when = this.#waitsFor === "resources" ? "when it is granted" : "after that";
    const text = `${this.#text(hasWaited ? "still " : "")}; the container runs ${when}`;
    container.print(`scrun: ${text}`);
    this.tell({ event: "queued", text });
    this.#starters.clear();
  }

  #tellWaiting(): void {
    if (this.#waitsFor === undefined) return;
    this.tell({ event: "waiting", text: this.#text() });
    this.#sendLauncherAway();
  }

  /** It asks again, as somebody who can wait; perhaps when the container runs already. */
  #sendLauncherAway(): void {
    const launcher = this.#starters.get(LAUNCHER);
    if (launcher === undefined) return;
    this.#starters.delete(LAUNCHER);
    this.#isOwed = true;
    launcher.say({ event: "waiting", text: "" });
  }

  #text(still = ""): string {
    const { jobId } = this.#container;
    switch (this.#waitsFor) {
      case "staging":
        return `job ${jobId} is ${still}being staged in`;
      case "container":
        return `job ${jobId} is ${still}waiting for the container whose namespaces it joins`;
      case "node":
        return `job ${jobId} is ${still}being sent to its node`;
      default:
        return `job ${jobId} ${still}queued and waiting for resources`;
    }
  }
}

export function failed(message: string): FromAnchor {
  return { event: "failed", message, hint: null, isSaid: false };
}

function endedBefore(): FromAnchor {
  return failed("the container has ended before it was started");
}
