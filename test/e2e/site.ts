// A private cluster for one test: directories, configuration, links to the executable under test, a busybox bundle, and
// at the end a look at what is left of it. Nothing outside the directory is touched, so tests run side by side, and only
// processes that carry its name in their environment are ever killed.
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { EmbeddedEngine } from "#engine/embedded/client.ts";
import type { Engine } from "#engine/engine.ts";
import type { AccountedJob } from "#job/record.ts";
import type { DaemonStatus } from "#engine/embedded/wire.ts";
import { findResult, readJournal, type JournalEntry } from "#step/journal.ts";
import { havePeers } from "../peers.ts";

const ROOT = resolve(import.meta.dir, "../..");
const PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
const COMMANDS = ["berth", "srun", "sbatch", "salloc", "scancel", "squeue", "sinfo", "sacct", "scontrol", "sattach", "sstat", "sbcast"];
const APPLETS = ["sh", "echo", "cat", "env", "id", "ls", "sleep", "true", "false", "kill", "pwd", "hostname", "seq"];

export const isRoot = process.getuid?.() === 0;
/** For test.skipIf: container cases need a runtime and busybox; runc and crun are found by Berth itself. */
export const canRunContainers = havePeers("runc", "busybox");

/** The executable under test: BERTH, or dist/berth of this checkout. */
export function berthPath(): string {
  const path = process.env["BERTH"] ?? join(ROOT, "dist/berth");
  if (!existsSync(path)) throw new Error(`${path} is not there; run scripts/build`);
  return path;
}

export interface Outcome {
  /** 128 + signal when a signal ended it. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly stdin?: string;
  readonly timeoutMs?: number;
}

export class RunningCommand {
  readonly process: Bun.Subprocess<"pipe" | "ignore", "pipe", "pipe">;
  readonly outcome: Promise<Outcome>;
  #stdout = "";
  #stderr = "";

  constructor(process: Bun.Subprocess<"pipe" | "ignore", "pipe", "pipe">) {
    this.process = process;
    this.outcome = this.#collect();
    this.outcome.catch(() => undefined); // whoever awaits it hears of it
  }

  get pid(): number {
    return this.process.pid;
  }

  get stdoutSoFar(): string {
    return this.#stdout;
  }

  get stderrSoFar(): string {
    return this.#stderr;
  }

  kill(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }

  async #collect(): Promise<Outcome> {
    const read = async (stream: ReadableStream<Uint8Array>, add: (text: string) => void) => {
      const decoder = new TextDecoder();
      for await (const chunk of stream) add(decoder.decode(chunk, { stream: true }));
    };
    const [code] = await Promise.all([
      this.process.exited,
      read(this.process.stdout, (text) => {
        this.#stdout += text;
      }),
      read(this.process.stderr, (text) => {
        this.#stderr += text;
      }),
    ]);
    return { status: code, stdout: this.#stdout, stderr: this.#stderr };
  }
}

export const DEFAULT_CONF = "NodeName=n1 CPUs=16 RealMemory=16000\nPartitionName=debug Nodes=ALL Default=YES\nKillWait=2\n";

export class Site implements AsyncDisposable {
  readonly dir: string;
  readonly workDir: string;
  readonly bundle: string;
  readonly env: Readonly<Record<string, string>>;
  /** Mount points that the test itself made. */
  readonly ownMounts: string[] = [];
  readonly #commands = new Set<RunningCommand>();
  readonly #undo: (() => void)[] = [];

  constructor(options: { readonly conf?: string; readonly uid?: number } = {}) {
    this.dir = mkdtempSync("/tmp/berth-e2e-");
    chmodSync(this.dir, 0o755);
    this.workDir = join(this.dir, "w");
    this.bundle = join(this.dir, "bundle");
    for (const name of ["bin", "w", "home", "tmp", "config/berth"]) mkdirSync(join(this.dir, name), { recursive: true });
    for (const name of ["run", "state"]) mkdirSync(join(this.dir, name), { mode: 0o700 });
    for (const name of COMMANDS) symlinkSync(berthPath(), join(this.dir, "bin", name));
    writeFileSync(join(this.dir, "config/berth/berth.conf"), options.conf ?? DEFAULT_CONF);
    this.env = {
      HOME: join(this.dir, "home"),
      USER: "me",
      LOGNAME: "me",
      SHELL: "/bin/sh",
      LANG: "C.UTF-8",
      TZ: "UTC",
      PATH: `${this.dir}/bin:${PATH}`,
      XDG_CONFIG_HOME: join(this.dir, "config"),
      XDG_STATE_HOME: join(this.dir, "state"),
      BERTH_ENGINE: "embedded",
      XDG_RUNTIME_DIR: join(this.dir, "run"),
      XDG_CACHE_HOME: join(this.dir, "cache"),
      TMPDIR: join(this.dir, "tmp"),
      BERTH_TEST_SITE: this.dir,
    };
    if (canRunContainers) this.#makeBundle();
  }

  #makeBundle(): void {
    const rootfs = join(this.bundle, "rootfs");
    for (const name of ["bin", "dev", "proc", "sys", "tmp"]) mkdirSync(join(rootfs, name), { recursive: true });
    const busybox = Bun.which("busybox", { PATH });
    if (busybox === null) throw new Error("busybox was there a moment ago");
    copyFileSync(busybox, join(rootfs, "bin/busybox"));
    chmodSync(join(rootfs, "bin/busybox"), 0o755);
    for (const applet of APPLETS) symlinkSync("busybox", join(rootfs, "bin", applet));
    const spec = Bun.spawnSync(["runc", "spec", ...(isRoot ? [] : ["--rootless"])], { cwd: this.bundle, env: { PATH } });
    if (!spec.success) throw new Error(`runc spec: ${spec.stderr.toString()}`);
  }

  /** To be done when every process is gone, before the directory goes: unmounting, mostly. */
  defer(call: () => void): void {
    this.#undo.push(call);
  }

  undo(): void {
    for (const call of this.#undo.splice(0).reverse()) call();
  }

  get stateDir(): string {
    return join(this.dir, "state/berth", hostname().split(".", 1)[0] ?? "localhost");
  }

  get runtimeDir(): string {
    return join(this.dir, "run/berth");
  }

  get socket(): string {
    return join(this.runtimeDir, "berthd.sock");
  }

  spool(jobId: number, step: string | number): string {
    return join(this.stateDir, "spool", `${jobId}.${step}`);
  }

  start(argv: readonly [string, ...string[]], options: RunOptions = {}): RunningCommand {
    const [name, ...rest] = argv;
    const process = Bun.spawn([name.includes("/") ? name : join(this.dir, "bin", name), ...rest], {
      env: { ...this.env, ...options.env },
      cwd: options.cwd ?? this.workDir,
      stdin: options.stdin === undefined ? "ignore" : Buffer.from(options.stdin),
      stdout: "pipe",
      stderr: "pipe",
    });
    const command = new RunningCommand(process as Bun.Subprocess<"pipe" | "ignore", "pipe", "pipe">);
    this.#commands.add(command);
    void process.exited.then(() => this.#commands.delete(command));
    return command;
  }

  async run(argv: readonly [string, ...string[]], options: RunOptions = {}): Promise<Outcome> {
    const command = this.start(argv, options);
    const limit = options.timeoutMs ?? 30_000;
    const timer = setTimeout(() => command.kill("SIGKILL"), limit);
    try {
      const outcome = await command.outcome;
      if (outcome.status === 137 && command.process.signalCode === "SIGKILL")
        throw new Error(`${argv.join(" ")} took more than ${limit} ms\n${outcome.stdout}\n${outcome.stderr}`);
      return outcome;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Submits a script; the job's id. */
  async sbatch(script: string, ...options: readonly string[]): Promise<number> {
    const { status, stdout, stderr } = await this.run(["sbatch", "--parsable", ...options], { stdin: script });
    if (status !== 0) throw new Error(`sbatch: ${stderr}`);
    return Number(stdout.trim());
  }

  /**
   * The engine, in this process. The controller is started by the executable first: started from a test it would be
   * the test's own file. Connections keep to this site, whatever another site does to the environment afterwards.
   */
  async engine(): Promise<EmbeddedEngine> {
    const started = await this.run(["berth", "daemon", "start"]);
    if (started.status !== 0) throw new Error(started.stderr);
    for (const name of ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"]) process.env[name] = this.env[name];
    const engine = new EmbeddedEngine();
    await engine.info({ signal: AbortSignal.timeout(10_000) });
    return engine;
  }

  async status(): Promise<DaemonStatus | undefined> {
    const { status, stdout } = await this.run(["berth", "daemon", "status", "--json"]);
    return status === 0 ? (JSON.parse(stdout) as DaemonStatus) : undefined;
  }

  /** kill -9 of the controller that listens now. */
  async killController(): Promise<number> {
    const pid = (await this.status())?.pid;
    if (pid === undefined) throw new Error("no controller to kill");
    process.kill(pid, "SIGKILL");
    await until(`controller ${pid} to be gone`, () => !existsSync(`/proc/${pid}`) || isZombie(pid));
    return pid;
  }

  journal(jobId: number, step: string | number): JournalEntry[] {
    return existsSync(this.spool(jobId, step)) ? readJournal(this.spool(jobId, step)) : [];
  }

  /** The step daemon that runs a step now. */
  async stepDaemon(jobId: number, step: string | number): Promise<number> {
    return await until(`the daemon of step ${jobId}.${step}`, () => {
      const entries = this.journal(jobId, step);
      const daemon = entries.findLast((entry) => entry.kind === "daemon");
      return daemon?.kind === "daemon" && findResult(entries) === undefined ? daemon.process.pid : undefined;
    });
  }

  /** The process of a task, once it runs. */
  async task(jobId: number, step: string | number, rank = 0): Promise<number> {
    return await until(`task ${rank} of step ${jobId}.${step}`, () => {
      const started = this.journal(jobId, step).findLast((entry) => entry.kind === "started" && entry.task === rank);
      return started?.kind === "started" ? started.process.pid : undefined;
    });
  }

  path(name: string): string {
    return join(this.workDir, name);
  }

  read(name: string): string {
    try {
      return readFileSync(this.path(name), "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
      throw error;
    }
  }

  /** Waits until a job has written `text` into its file. */
  async written(name: string, text: string): Promise<void> {
    await until(`"${text}" in ${name}`, () => this.read(name).includes(text));
  }

  /**
   * What jobs that are over have left: processes other than the controller and its spares, mounts, runtime state,
   * spool directories, sockets, temporary files. Things that are on their way out get `patienceMs`.
   */
  async leftovers(patienceMs = 5000): Promise<string[]> {
    let left: string[] = [];
    for (const deadline = performance.now() + patienceMs; performance.now() < deadline; await Bun.sleep(50)) {
      left = [...this.#foreignProcesses(), ...this.#foreignFiles(), ...this.#mounts()];
      if (left.length === 0) return [];
    }
    return left;
  }

  #foreignProcesses(): string[] {
    const commands = new Set([...this.#commands].map(({ pid }) => pid));
    return processesOf(this.dir)
      .filter(({ pid, command }) => !commands.has(pid) && !/^(berthd|berth-stepd) /.test(command))
      .map(({ pid, command }) => `process ${pid} ${command}`)
      .concat(this.#busyDaemons());
  }

  /** Step daemons beyond the spares. */
  #busyDaemons(): string[] {
    const daemons = processesOf(this.dir).filter(({ command }) => command.startsWith("berth-stepd "));
    const spools = (pid: number) =>
      readFds(pid)
        .map((fd) => readlink(`/proc/${pid}/fd/${fd}`))
        .filter((path) => path.includes("/spool/"));
    return daemons.length <= 2 ? [] : daemons.map(({ pid }) => `step daemon ${pid} ${spools(pid).join(" ")}`);
  }

  #foreignFiles(): string[] {
    const below = (path: string) =>
      existsSync(path)
        ? [...new Bun.Glob("**/*").scanSync({ cwd: path, onlyFiles: false, dot: true })].map((name) => join(path, name))
        : [];
    const runtime = below(this.runtimeDir).filter((path) => !KEPT_IN_RUNTIME_DIR.test(path.slice(this.runtimeDir.length + 1)));
    return [...below(join(this.stateDir, "spool")), ...runtime, ...below(join(this.dir, "tmp"))].map((path) => `file ${path}`);
  }

  #mounts(): string[] {
    return readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .filter((line) => line.includes(`${this.dir}/`) && !this.ownMounts.some((path) => line.includes(` ${path} `)))
      .map((line) => `mount ${line}`);
  }

  /** What the controller's log says that nobody should see: exceptions, in short. */
  complaints(): string[] {
    const log = join(this.stateDir, "berthd.log");
    if (!existsSync(log)) return [];
    return readFileSync(log, "utf8")
      .split("\n")
      .filter((line) => /request\.failed|Error\b|error:|unreadable|panic/.test(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const command of this.#commands) command.kill("SIGKILL");
    try {
      await this.run(["berth", "daemon", "stop", "--jobs"], { timeoutMs: 20_000, cwd: "/" });
    } catch {
      // The processes are ended below all the same.
    }
    for (const deadline = performance.now() + 3000; performance.now() < deadline && processesOf(this.dir).length > 0; ) await Bun.sleep(20);
    // Again and again: a spare daemon whose controller is killed starts the next one.
    for (let round = 0; round < 100; round++) {
      const left = processesOf(this.dir).filter(({ pid }) => !isZombie(pid));
      if (left.length === 0) break;
      for (const { pid } of left) kill(pid);
      await Bun.sleep(20);
    }
    this.undo();
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5 });
  }
}

function readFds(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`);
  } catch {
    return []; // gone
  }
}

function readlink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/** What belongs to the controller and to chosen runtimes, not to jobs. */
const KEPT_IN_RUNTIME_DIR = /^(berthd\.(sock|lock)|steps|oci|oci\/(runc|crun)|.*\.lock)$/;

interface FoundProcess {
  readonly pid: number;
  readonly command: string;
}

/** Every process of ours that carries the directory in its environment or command line. Its name is random, so nobody else's does. */
export function processesOf(dir: string): FoundProcess[] {
  const found: FoundProcess[] = [];
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid <= 1 || pid === process.pid) continue;
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      if (command !== "" && (command.includes(dir) || readFileSync(`/proc/${pid}/environ`, "utf8").includes(dir)))
        found.push({ pid, command: command.slice(0, 200) });
    } catch {
      // Another user's, or gone.
    }
  }
  return found;
}

/** A process's command line, of a container's anchor: as create starts it, or the launcher. */
export function isAnchor(command: string): boolean {
  return command.startsWith("scrun-anchor") || command.includes(" scrun anchor ");
}

export function isZombie(pid: number): boolean {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2).startsWith("Z");
  } catch {
    return false;
  }
}

export function isRunning(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && !isZombie(pid);
}

/** kill -9; false when it was gone already. */
export function kill(pid: number): boolean {
  try {
    return process.kill(pid, "SIGKILL");
  } catch {
    return false;
  }
}

/** Looks again until there is an answer other than undefined and false. @throws after the bound, saying what was waited for */
export async function until<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 20_000,
): Promise<T> {
  for (const deadline = performance.now() + timeoutMs; ; await Bun.sleep(10)) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`);
  }
}

/** Every job that accounting has, ended or not, by id. */
export async function accounted(engine: Engine): Promise<Map<number, AccountedJob>> {
  const jobs = await engine.accounting(
    { jobIds: null, userIds: null, states: null, names: null, partitions: null, from: null, to: null, earlierRuns: false },
    { signal: AbortSignal.timeout(20_000) },
  );
  return new Map(jobs.map((job) => [job.jobId, job]));
}

export function exitText(job: { readonly exit: { readonly code: number; readonly signal: number } }): string {
  return `${job.exit.code}:${job.exit.signal}`;
}

/** The seed of a random test: BERTH_SEED, or a new one; printed, so that a failure can be repeated. */
export function seeded(name: string): () => number {
  const seed = Number(process.env["BERTH_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  console.error(`${name}: BERTH_SEED=${seed}`);
  return randomFrom(seed);
}

/** mulberry32: small, and good enough to shuffle tests. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
