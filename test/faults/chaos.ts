// Work and murder at random moments, out of one seed: commands of every kind run side by side while processes of Berth, of
// runtimes and of jobs are killed. Afterwards nothing that was accepted may be lost, and nothing may be left.
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isTerminal } from "#job/state.ts";
import { isChildOf } from "#platform/process-tree.ts";
import { accounted, canRunContainers, exitText, kill, processesOf, type Site, until } from "../e2e/site.ts";

export interface ChaosOptions {
  readonly random: () => number;
  readonly seconds: number;
  /** `podman run` through scrun, where there is one. */
  readonly podman?: ((script: string) => Promise<unknown>) | undefined;
  readonly log?: (line: string) => void;
}

export interface ChaosReport {
  readonly ran: Readonly<Record<string, number>>;
  readonly kills: Readonly<Record<string, number>>;
  /** What should not be. */
  readonly complaints: readonly string[];
}

const WORKERS = 4;
const COMMAND_MS = 60_000;
/** Of a task that ended while neither its daemon nor a controller could see it. */
const UNKNOWN_EXIT = "1:0";
/** How long what was started may take to end when nobody is killed any more: each job is over after a few seconds. */
const CALM_MS = 60_000;

/** What a process is, by its command line: each kind is as likely to be hit as any other, however many there are. */
function kindOf(command: string): string {
  const kinds: readonly (readonly [string, RegExp])[] = [
    ["controller", /^berthd /],
    ["step daemon", /^berth-stepd /],
    ["anchor", /^scrun-anchor|scrun anchor /],
    ["stand-in", /scrun-container/],
    ["engine", /^(\S*\/)?(podman|conmon) /],
    ["launcher", /\/bin\/scrun /],
    ["scrun", /scrun /],
    ["runtime", /^(\S*\/)?(runc|crun) /],
    ["command", /^(\S*\/)?(srun|sbatch|salloc|scancel) /],
  ];
  return kinds.find(([, pattern]) => pattern.test(command))?.[0] ?? "task";
}

export class Chaos {
  readonly #site: Site;
  readonly #options: ChaosOptions;
  readonly #logs: string;
  readonly #ran: Record<string, number> = {};
  readonly #kills: Record<string, number> = {};
  readonly #complaints: string[] = [];
  /** Jobs that sbatch has said are submitted, with the exit code of their scripts. */
  readonly #accepted = new Map<number, { readonly code: number; readonly isContainer: boolean }>();
  /** Jobs that lost a process of their own, so that they may end in any way. */
  readonly #hit = new Set<number>();
  #isOver = false;
  #serial = 0;

  constructor(site: Site, options: ChaosOptions) {
    this.#site = site;
    this.#options = options;
    this.#logs = join(site.dir, "logs");
    mkdirSync(this.#logs, { recursive: true });
  }

  async run(): Promise<ChaosReport> {
    if (canRunContainers) this.#makeScrunBundles();
    const workers = Array.from({ length: WORKERS }, () => this.#work());
    const killer = this.#murder();
    await Bun.sleep(this.#options.seconds * 1000);
    this.#isOver = true;
    await Promise.all([killer, ...workers]);
    await this.#calm();
    return { ran: this.#ran, kills: this.#kills, complaints: this.#complaints };
  }

  #chance(parts: number): number {
    return Math.floor(this.#options.random() * parts);
  }

  #note(line: string): void {
    this.#options.log?.(line);
  }

  // --- Work ---------------------------------------------------------------------------------------------------------

  async #work(): Promise<void> {
    const works: (readonly [string, () => Promise<unknown>])[] = [
      ["sbatch", () => this.#sbatch()],
      ["sbatch with steps", () => this.#sbatchWithSteps()],
      ["srun", () => this.#call(["srun", `-n${1 + this.#chance(3)}`, "sh", "-c", this.#script()])],
      ["salloc", () => this.#call(["salloc", "-n2", "sh", "-c", `srun sh -c '${this.#script()}'; ${this.#script()}`])],
      ["scancel", () => this.#cancelSome()],
    ];
    if (canRunContainers)
      works.push(
        ["sbatch --container", () => this.#sbatch("--container", this.#site.bundle)],
        ["srun --container", () => this.#call(["srun", "--container", this.#site.bundle, "sh", "-c", this.#script()])],
        ["scrun", () => this.#scrun()],
        ["scrun", () => this.#scrun()],
      );
    const { podman } = this.#options;
    if (podman !== undefined) for (let i = 0; i < 4; i++) works.push(["podman", () => podman(this.#script())]);
    while (!this.#isOver) {
      const [name, work] = works[this.#chance(works.length)] ?? ["", async () => {}];
      this.#ran[name] = (this.#ran[name] ?? 0) + 1;
      try {
        await work();
      } catch (error) {
        this.#complaints.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }

  #script(code = this.#chance(2) * this.#chance(100)): string {
    return `echo up; sleep 0.${this.#chance(10)}; exit ${code}`;
  }

  async #sbatch(...options: string[]): Promise<void> {
    const code = this.#chance(2) * this.#chance(100);
    const script = `#!/bin/sh\n${this.#script(code)}\n`;
    const { stdout } = await this.#call(["sbatch", "--parsable", ...options], script);
    this.#accept(stdout, { code, isContainer: options.length > 0 });
  }

  async #sbatchWithSteps(): Promise<void> {
    const code = this.#chance(100);
    const steps = `srun sh -c '${this.#script()}' & srun ${canRunContainers ? `--container ${this.#site.bundle}` : ""} sh -c '${this.#script()}' & wait`;
    const { stdout } = await this.#call(["sbatch", "--parsable", "-n2"], `#!/bin/sh\n${steps}\nexit ${code}\n`);
    this.#accept(stdout, { code, isContainer: false });
  }

  #accept(stdout: string, job: { readonly code: number; readonly isContainer: boolean }): void {
    const id = Number(stdout.trim());
    if (id > 0) this.#accepted.set(id, job);
  }

  async #cancelSome(): Promise<void> {
    const { stdout } = await this.#call(["squeue", "-h", "-o", "%A"]);
    const ids = stdout.trim().split("\n").filter(Boolean);
    const id = ids[this.#chance(ids.length)];
    if (id === undefined) return;
    this.#hit.add(Number(id));
    await this.#call(["scancel", id]);
  }

  async #scrun(): Promise<void> {
    const id = `c${this.#serial++}`;
    const bundle = join(this.#site.dir, `scrun-bundle-${this.#chance(SCRUN_SCRIPTS.length)}`);
    if ((await this.#call(["scrun", "create", "--bundle", bundle, id])).status !== 0) return;
    if (this.#chance(8) > 0) await this.#call(["scrun", "start", id]);
    if (this.#chance(3) === 0) await this.#call(["scrun", "state", id]);
    if (this.#chance(3) === 0) await this.#call(["scrun", "kill", id, this.#chance(2) === 0 ? "TERM" : "KILL"]);
    await Bun.sleep(this.#chance(400));
    if (this.#chance(3) > 0) await this.#call(["scrun", "delete", "--force", id]);
  }

  #makeScrunBundles(): void {
    const config = JSON.parse(readFileSync(join(this.#site.bundle, "config.json"), "utf8"));
    SCRUN_SCRIPTS.forEach((script, index) => {
      const dir = join(this.#site.dir, `scrun-bundle-${index}`);
      mkdirSync(dir);
      const process = { ...config.process, terminal: false, args: ["/bin/sh", "-c", script] };
      const root = { ...config.root, path: join(this.#site.bundle, "rootfs") };
      writeFileSync(join(dir, "config.json"), JSON.stringify({ ...config, process, root }));
    });
  }

  /** Its streams are files: a container keeps them. */
  async #call(argv: readonly [string, ...string[]], stdin?: string): Promise<{ readonly status: number; readonly stdout: string }> {
    const base = join(this.#logs, String(this.#serial++));
    const [out, err] = [openSync(`${base}.out`, "w+"), openSync(`${base}.err`, "w+")];
    try {
      const child = Bun.spawn([join(this.#site.dir, "bin", argv[0]), ...argv.slice(1)], {
        env: this.#site.env,
        cwd: this.#site.workDir,
        stdin: stdin === undefined ? "ignore" : Buffer.from(stdin),
        stdout: out,
        stderr: err,
      });
      const ended = await Promise.race([child.exited, Bun.sleep(COMMAND_MS).then(() => undefined)]);
      if (ended === undefined) {
        child.kill("SIGABRT");
        this.#complaints.push(`${argv.join(" ")} did not end within ${COMMAND_MS} ms: ${readFileSync(`${base}.err`, "utf8")}`);
        child.kill("SIGKILL");
      }
      const stderr = readFileSync(`${base}.err`, "utf8");
      this.#note(`${argv.join(" ").slice(0, 120)} → ${ended} ${stderr.trim().slice(0, 300)}`);
      if (/this is a bug in Berth|INTERNAL|TypeError|ReferenceError|\n +at /.test(stderr))
        this.#complaints.push(`${argv.join(" ").slice(0, 80)}: ${stderr.trim()}`);
      return { status: ended ?? 137, stdout: readFileSync(`${base}.out`, "utf8") };
    } finally {
      closeSync(out);
      closeSync(err);
    }
  }

  // --- Murder -------------------------------------------------------------------------------------------------------

  async #murder(): Promise<void> {
    while (!this.#isOver) {
      await Bun.sleep(5 + this.#chance(this.#chance(4) === 0 ? 1500 : 200));
      const byKind = new Map<string, number[]>();
      for (const { pid, command } of processesOf(this.#site.dir)) {
        if (command.includes("catatonit")) continue;
        const kind = kindOf(command);
        byKind.set(kind, [...(byKind.get(kind) ?? []), pid]);
      }
      const [kind, pids = []] = [...byKind][this.#chance(byKind.size)] ?? ["", []];
      const pid = pids[this.#chance(pids.length)];
      if (pid === undefined) continue;
      if (kind === "controller" && this.#chance(5) === 0) {
        await this.#freeze(pid);
        continue;
      }
      // A task between its fork and its exec still looks like its daemon.
      if (kind === "step daemon" && pids.some((other) => isChildOf(pid, other))) continue;
      if (kind !== "controller" && kind !== "step daemon") this.#remember(pid);
      if (kill(pid)) {
        this.#kills[kind] = (this.#kills[kind] ?? 0) + 1;
        this.#note(`killed ${kind} ${pid}`);
      }
    }
  }

  /** Not only dead: deaf for a while. */
  async #freeze(pid: number): Promise<void> {
    try {
      process.kill(pid, "SIGSTOP");
      await Bun.sleep(this.#chance(3000));
      process.kill(pid, "SIGCONT");
      this.#kills["controller stopped"] = (this.#kills["controller stopped"] ?? 0) + 1;
    } catch {
      // gone meanwhile
    }
  }

  #remember(pid: number): void {
    try {
      const job = /(?:^|\0)SLURM_JOB_ID=(\d+)/.exec(readFileSync(`/proc/${pid}/environ`, "latin1"))?.[1];
      if (job !== undefined) this.#hit.add(Number(job));
    } catch {
      // gone meanwhile
    }
  }

  // --- Calm ---------------------------------------------------------------------------------------------------------

  async #calm(): Promise<void> {
    const site = this.#site;
    // Containers that their creators gave up end with them; the others are for their owner to end.
    await this.#deleteContainers();
    await using engine = await site.engine();
    try {
      await until("all jobs to end", async () => (await site.run(["squeue", "-h"])).stdout === "", CALM_MS);
    } catch {
      this.#complaints.push(`not over: ${(await site.run(["squeue", "-o", "%i %T %j %r", "-h"])).stdout}`);
    }
    const jobs = await accounted(engine);
    for (const job of jobs.values()) {
      if (!isTerminal(job.state) || job.endedAt === null) this.#complaints.push(`job ${job.jobId} is ${job.state}, ended ${job.endedAt}`);
      for (const step of job.steps)
        if (!isTerminal(step.state) || step.endedAt === null)
          this.#complaints.push(`step ${job.jobId}.${step.stepKey} is ${step.state}, ended ${step.endedAt}`);
    }
    for (const [id, { code, isContainer }] of this.#accepted) {
      const job = jobs.get(id);
      if (job === undefined) this.#complaints.push(`job ${id} was accepted, and is lost`);
      else if (!isContainer && !this.#hit.has(id) && job.state !== "NODE_FAIL" && ![`${code}:0`, UNKNOWN_EXIT].includes(exitText(job)))
        this.#complaints.push(`job ${id} ended ${job.state} ${exitText(job)} instead of ${code}:0`);
    }
    // podman's own process, which keeps its namespaces, is podman's to keep.
    const left = (await site.leftovers(10_000)).filter((line) => !line.endsWith(" catatonit -P"));
    this.#complaints.push(...left, ...site.complaints());
  }

  async #deleteContainers(): Promise<void> {
    let ids: string[] = [];
    try {
      ids = readdirSync(join(this.#site.dir, "run/scrun"));
    } catch {
      return; // none was ever made
    }
    for (const id of ids) {
      const { status } = await this.#call(["scrun", "delete", "--force", id]);
      if (status !== 0) this.#complaints.push(`container ${id} cannot be deleted: status ${status}`);
    }
    const left = readdirSync(join(this.#site.dir, "run/scrun"));
    if (left.length > 0) this.#complaints.push(`containers are left: ${left.join(" ")}`);
  }
}

const SCRUN_SCRIPTS = ["sleep 0.2; exit 3", "exit 0", "sleep 1000", "trap 'exit 5' TERM; while :; do sleep 0.1; done"] as const;
