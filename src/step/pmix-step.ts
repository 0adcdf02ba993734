/** `--mpi=pmix` in the step daemon: a process that serves PMIx for all tasks of the step (platform/pmix-host.ts). */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import type { StepFacts } from "#job/environment.ts";
import { BerthError } from "#job/errors.ts";
import { LineProcess } from "#platform/line-process.ts";
import type { PmixHostPlan } from "#platform/pmix-host.ts";
import { findPmixLibrary } from "#platform/pmix-library.ts";
import { selfCommand } from "#platform/self.ts";
import type { MpiStep, MpiTask } from "./mpi-step.ts";

/** From its start to its first answer; libpmix looks at the host's network and devices. */
const READY_MS = 60_000;
const END_MS = 2000;

export class PmixStep implements MpiStep {
  readonly #dir: string;
  readonly #onAbort: () => void;
  readonly #host: LineProcess;
  readonly #ready = Promise.withResolvers<readonly Record<string, string>[]>();
  /** Ranks that have called PMIx_Init and not yet PMIx_Finalize. */
  readonly #connected = new Set<number>();
  readonly #syncs: (() => void)[] = [];

  /** @throws BerthError when PMIx cannot be served here */
  static async open(
    facts: StepFacts,
    options: { readonly isContainer: boolean; readonly spoolDir: string; readonly onAbort: () => void },
  ): Promise<PmixStep> {
    const library = findPmixLibrary();
    if (library === undefined)
      throw new BerthError("NOT_SUPPORTED", "--mpi=pmix needs PMIx's library, libpmix.so.2", { hint: "install it (Debian: libpmix2)" });
    const step = new PmixStep(facts, { ...options, library });
    try {
      await step.#waitReady();
      return step;
    } catch (error) {
      await step[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(
    facts: StepFacts,
    options: { readonly isContainer: boolean; readonly spoolDir: string; readonly library: string; readonly onAbort: () => void },
  ) {
    this.#onAbort = options.onAbort;
    this.#dir = join(options.spoolDir, "pmix");
    rmSync(this.#dir, { recursive: true, force: true }); // of a daemon that was killed
    mkdirSync(this.#dir, { mode: 0o700 });
    const plan: PmixHostPlan = {
      library: options.library,
      namespace: `slurm.pmix.${facts.jobId}.${facts.stepKey}`,
      tasks: facts.tasks,
      hostname: hostname(),
      uid: process.getuid?.() ?? 0,
      gid: process.getgid?.() ?? 0,
      jobId: `${facts.jobId}.${facts.stepKey}`,
      isApart: options.isContainer,
      dir: this.#dir,
    };
    const file = join(this.#dir, "plan.json");
    writeFileSync(file, JSON.stringify(plan), { mode: 0o600 });
    const [program, ...args] = selfCommand("pmix-host", file);
    this.#host = new LineProcess([program, ...args], {
      env: {
        PATH: process.env["PATH"] ?? "/usr/bin:/bin",
        HOME: process.env["HOME"] ?? "/",
        TMPDIR: this.#dir,
        // Facts pass over the socket, so that a container needs no directory of ours.
        PMIX_MCA_gds: "hash",
        // A client tells its user id over TCP, which in a container is another.
        PMIX_MCA_psec: options.isContainer ? "none" : "native",
      },
      logFile: join(this.#dir, "log"),
      onLine: (line) => this.#take(line),
      onExit: () => this.#lost(),
    });
  }

  #take(line: string): void {
    const [what = "", ...rest] = line.split(" ");
    const rank = Number(rest[0]);
    if (what === "ready") this.#ready.resolve(JSON.parse(rest.join(" ")) as Record<string, string>[]);
    else if (what === "failed") this.#ready.reject(new BerthError("NOT_SUPPORTED", `--mpi=pmix cannot be served: ${rest.join(" ")}`));
    else if (what === "connected") this.#connected.add(rank);
    else if (what === "finalized") this.#connected.delete(rank);
    else if (what === "synced") this.#syncs.shift()?.();
    else if (what === "abort") this.#onAbort();
  }

  #lost(): void {
    this.#ready.reject(new BerthError("NOT_SUPPORTED", "--mpi=pmix cannot be served: its process has ended"));
    this.#ready.promise.catch(() => undefined); // somebody may have been told already
    for (const done of this.#syncs.splice(0)) done();
  }

  async #waitReady(): Promise<void> {
    const late = Bun.sleep(READY_MS).then(() => {
      throw new BerthError("NOT_SUPPORTED", "--mpi=pmix cannot be served: libpmix does not answer");
    });
    await Promise.race([this.#ready.promise, late]);
  }

  async openTask(rank: number): Promise<MpiTask> {
    const environment = (await this.#ready.promise)[rank] ?? {};
    return { environment, fd: null, spawned: () => undefined };
  }

  /** As Slurm's plugin: who ends between PMIx_Init and PMIx_Finalize takes the step along. */
  async taskEnded(rank: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#syncs.push(resolve);
    if (!this.#host.write(`sync ${rank}\n`)) return;
    await promise;
    if (this.#connected.has(rank)) this.#onAbort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#host.write("end\n");
    await this.#host.stop(END_MS);
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
