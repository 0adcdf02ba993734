/**
 * The container as the real runtime has it: made from the bundle, started, frozen, signalled, waited for, deleted. Its first process,
 * whose parent (the runtime's create) ends, becomes the child of the anchor, a subreaper: that child's wait status is the container's.
 */
import { closeSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { JsonObject } from "#container/json.ts";
import type { OwnStep } from "#engine/own-step.ts";
import { parseWaitStatus, shellCode, type ExitStatus } from "#job/outcome.ts";
import { runChild } from "#platform/child.ts";
import type { ReapedChild } from "#platform/libc.ts";
import { outsideIds, standInNamespacesOf } from "#platform/namespaces.ts";
import type { OrphanReaper } from "#platform/orphans.ts";
import { identify, isAlive, processesOf, sendSignal, type ProcessIdentity } from "#platform/process-tree.ts";
import { spawnWithFiles } from "#platform/spawn.ts";
import type { AnchorPlan } from "../anchor-wire.ts";
import { readConfig, writeRuntimeConfig, hasPoststopHooks, type BundleConfig } from "../config.ts";
import { CreateFailure } from "./failures.ts";
import { addGrantedLimits, type Granted } from "./granted-limits.ts";
import { findMemoryCgroup, peakMemoryKib, wasOutOfMemory, type MemoryCgroup } from "./memory-events.ts";
import { lastError } from "../log.ts";
import type { ContainerPlace } from "../place.ts";
import { nameRealProcesses, useNetwork } from "../shared-namespaces.ts";
import { letGoOfStreams } from "./streams.ts";

const SIGCONT = 18;
const SIGSTOP = 19;
const RUNTIME_MS = 120_000;
const never = new AbortController().signal;

export interface Making {
  /** The job's variables, for the container. */
  readonly environment: Readonly<Record<string, string>>;
  readonly gres: OwnStep["gres"];
  readonly granted: Granted;
  /** A network namespace that is there already, for its own. */
  readonly network: string | undefined;
  /** Changes the bundle's configuration before the runtime gets it. */
  readonly adapt: (config: JsonObject) => void;
}

export interface Usage {
  readonly userCpuMs: number;
  readonly systemCpuMs: number;
  readonly maxRssKib: number | null;
  readonly outOfMemory: boolean;
}

export class RuntimeContainer {
  readonly #place: ContainerPlace;
  readonly #reaper: OrphanReaper;
  /** Fds for the container, beside 0, 1 and 2. */
  readonly #preserved: readonly number[];
  #config: BundleConfig | undefined;
  #hasPoststopHooks = false;
  #plan: AnchorPlan | undefined;
  #init: ProcessIdentity | undefined;
  #exited: Promise<ReapedChild> | undefined;
  #end: ReapedChild | undefined;
  #cgroup: MemoryCgroup | undefined;

  constructor(place: ContainerPlace, options: { readonly reaper: OrphanReaper; readonly preserved: readonly number[] }) {
    this.#place = place;
    this.#reaper = options.reaper;
    this.#preserved = options.preserved;
  }

  /** Its first process; undefined before it is made. */
  get init(): ProcessIdentity | undefined {
    return this.#init;
  }

  /** The configuration as it has been read already; `make` changes it. */
  use(config: BundleConfig): void {
    this.#config = config;
  }

  #takeConfig(plan: AnchorPlan): BundleConfig {
    const read = this.#config;
    this.#config = undefined;
    const config = read?.file === plan.configFile ? read : readConfig(plan.bundle, plan.configFile); // staged elsewhere
    this.#hasPoststopHooks = hasPoststopHooks(config);
    return config;
  }

  /** @throws CreateFailure */
  async make(plan: AnchorPlan, { environment, gres, granted, network, adapt }: Making): Promise<void> {
    const place = this.#place;
    const config = this.#takeConfig(plan);
    adapt(config.config);
    if (Object.keys(gres).length > 0) {
      const { addDevices } = await import("./devices.ts");
      addDevices(config.config, gres, { isConfined: process.getuid?.() !== 0 || outsideIds() !== undefined });
    }
    addGrantedLimits(granted, { config: config.config, id: plan.id, isSystemd: plan.runtimeOptions.includes("--systemd-cgroup") });
    if (network !== undefined) useNetwork(config.config, network);
    nameRealProcesses(config.config, place.root);
    writeRuntimeConfig(config, { bundle: plan.bundle, target: join(place.bundle, "config.json"), environment });
    this.#plan = plan;
    const argv: [string, ...string[]] = [
      ...this.#runtime(plan, place.runtimeLog),
      "create",
      "--bundle",
      place.bundle,
      "--pid-file",
      place.initPidFile,
      ...plan.createOptions,
      plan.id,
    ];
    const files = [0, 1, 2, ...this.#preserved];
    const status = await spawnWithFiles(argv, { files, env: plan.environment, cwd: plan.bundle }).exited;
    if (status.kind !== "exited" || status.code !== 0) {
      const message = lastError(readText(place.runtimeLog)) ?? `${plan.runtime} create failed with status ${shellCode(status)}`;
      await this.#deleteHalfMade(plan);
      throw new CreateFailure(message);
    }
    const pid = Number(readText(place.initPidFile));
    const init = Number.isInteger(pid) && pid > 1 ? identify(pid) : undefined;
    const exited = init === undefined ? undefined : this.#reaper.expect(init);
    if (init === undefined || exited === undefined) throw new CreateFailure(`${plan.runtime} made no process that could be watched`);
    this.#init = init;
    this.#exited = exited;
    this.#cgroup = findMemoryCgroup(pid, process.pid);
    // The container has them. Standard error stays, for what ends it; not beside a terminal, because then it is create's own,
    // and containerd-shim reads it to its end before it goes on.
    letGoOfStreams(plan.hasTerminal ? [0, 1, 2] : [0, 1]);
    for (const fd of this.#preserved) closeSync(fd);
  }

  /** Of a create that was killed: a container that nobody would ever start. */
  async #deleteHalfMade(plan: AnchorPlan): Promise<void> {
    if (!this.#place.hasRuntimeContainer()) return;
    await runChild([...this.#runtime(plan, join(this.#place.dir, "delete.log")), "delete", "--force", plan.id], {
      env: plan.environment,
      cwd: "/",
      signal: never,
      timeoutMs: RUNTIME_MS,
    });
  }

  #runtime(plan: AnchorPlan, log: string): [string, ...string[]] {
    return [plan.runtime, "--root", this.#place.runtimeRoot, "--log", log, "--log-format", "json", ...plan.runtimeOptions];
  }

  /** Undefined when it runs; otherwise the runtime's words. */
  async start(): Promise<string | undefined> {
    const plan = this.#madePlan();
    const log = join(this.#place.dir, "start.log");
    // Its words are in the log.
    const files = ["null", "null", "null"] as const;
    const status = await spawnWithFiles([...this.#runtime(plan, log), "start", plan.id], { files, env: plan.environment, cwd: "/" }).exited;
    if (shellCode(status) !== 0) return lastError(readText(log)) ?? `${plan.runtime} start failed with status ${shellCode(status)}`;
    // Not earlier: the runtime's hooks are run in our namespaces.
    if (this.#init !== undefined) standInNamespacesOf(this.#init.pid);
    return undefined;
  }

  #madePlan(): AnchorPlan {
    if (this.#plan === undefined) throw new Error("no container");
    return this.#plan;
  }

  kill(signal: number): void {
    if (this.#init !== undefined && identify(this.#init.pid)?.startTicks === this.#init.startTicks) sendSignal(this.#init.pid, signal);
  }

  async freeze(isFrozen: boolean): Promise<void> {
    if (this.#place.isLost) {
      this.stopAll(isFrozen);
      return;
    }
    const plan = this.#madePlan();
    const log = join(this.#place.dir, "pause.log");
    const result = await runChild([...this.#runtime(plan, log), isFrozen ? "pause" : "resume", plan.id], {
      env: plan.environment,
      cwd: "/",
      signal: never,
      timeoutMs: RUNTIME_MS,
    });
    if (shellCode(result.status) !== 0) this.stopAll(isFrozen);
  }

  /** Without a freezer (no cgroup of its own): a signal to each of its processes. */
  stopAll(isStopped: boolean): void {
    if (this.#init === undefined || !isAlive(this.#init)) return;
    for (const pid of processesOf(this.#init.pid)) sendSignal(pid, isStopped ? SIGSTOP : SIGCONT);
  }

  async waitForEnd(): Promise<ExitStatus> {
    const end = await this.#exited;
    if (end === undefined) throw new Error("no container");
    this.#end = end;
    return parseWaitStatus(end.waitStatus);
  }

  /** What it has used; complete when the last of its processes has ended. */
  usage(): Usage {
    const end = this.#end;
    return {
      userCpuMs: end?.userCpuMs ?? 0,
      systemCpuMs: end?.systemCpuMs ?? 0,
      maxRssKib: peakMemoryKib(this.#cgroup) ?? end?.maxRssKib ?? null,
      outOfMemory: wasOutOfMemory(this.#cgroup),
    };
  }

  /**
   * The engine's clean-up asks for the runtime's delete as soon as it has started; its start is the time for it. Hooks belong
   * to the delete that is asked for. It outlives us: whoever adopts it, `scrun delete` looks again. The last thing of all: who
   * stands for us is in the container's cgroup.
   */
  tidy(): void {
    const plan = this.#plan;
    if (plan === undefined || this.#init === undefined || this.#hasPoststopHooks) return;
    // Not by its path: the runtime would make a directory again that `scrun delete` has removed meanwhile.
    const argv: [string, ...string[]] = [plan.runtime, "--root", "/proc/self/cwd", ...plan.runtimeOptions, "delete", "--force", plan.id];
    const files = ["null", "null", "null"] as const;
    try {
      spawnWithFiles(argv, { files, env: plan.environment, cwd: this.#place.runtimeRoot, isDaemon: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error; // it has gone
    }
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
