/**
 * Containers of podman and docker on a node of the cluster (engine/remote-containers.ts):
 *
 *   probe step ─► is the root file system there, and Berth?     lacking: by content, through a step's standard input (cache/)
 *   box step   ─► CACHE/box-TOKEN/ with config.json and the engine's small files
 *   srun       ─► berth task --bundle CACHE/box-TOKEN           the container's own streams are srun's
 */
import { mkdtempSync, rmSync, writeFileSync, copyFileSync } from "node:fs";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { shellCode, type ExitStatus } from "#job/outcome.ts";
import { runChild } from "#platform/child.ts";
import { directories } from "#platform/directories.ts";
import { ensurePrivateDir } from "#platform/private-directory.ts";
import { linesOf } from "#platform/piped-process.ts";
import { OWN_TERMINAL } from "#platform/pseudo-terminal.ts";
import { selfOnDisk, selfPath } from "#platform/self.ts";
import { captureOutput, spawnForeground, spawnOnStreams } from "#platform/spawn.ts";
import { ownAccount } from "#platform/users.ts";
import type {
  ContainerQuestion,
  RemoteCommand,
  RemoteContainer,
  RemoteContainerRequest,
  RemoteContainers,
  RemotePlace,
} from "../../remote-containers.ts";
import { writeFully } from "#platform/write-fully.ts";
import { describeExecutable, rootfsArchiveCommand, rootfsSha } from "../cache/cargo.ts";
import { PROBE_ROOTFS, UNBOX, WITNESS } from "../cache/node-scripts.ts";
import { nodeCache, send, stepWords } from "../cache/stage.ts";
import { ErrorPipe } from "../error-pipe.ts";
import { siteWords } from "../programs.ts";
import { quote } from "../site/container-request.ts";
import { parseSrunLine } from "../srun-words.ts";
import { FILE_LIMIT_VARIABLE } from "../task/file-limit.ts";

type Env = Readonly<Record<string, string>>;
type Presence = "shared" | "cached" | "lacks";

/** Of our own environment: the container's variables are in its config.json. */
const KEPT_VARIABLES = /^(?:PATH|HOME|LANG|LC_\w+|LD_LIBRARY_PATH|SLURM_CONF|XDG_\w+|BERTH_\w+)$/;
const START = `${FILE_LIMIT_VARIABLE}=$(ulimit -Sn) exec "$0" "$@"`;
const ANSWER_MS = 60_000;

export class SlurmRemoteContainers implements RemoteContainers {
  async start(request: RemoteContainerRequest, { signal }: { readonly signal: AbortSignal }): Promise<RemoteContainer> {
    const env = stepEnvironment(request.jobId);
    const found = await this.#bringRootfs(request, env, signal);
    const box = await this.#bringBox(request, { ...found, env });
    signal.throwIfAborted();
    const [stdin, stdout, stderr] = request.streams;
    const errors = new ErrorPipe();
    const { hasTerminal } = request;
    const words = [
      ...(hasTerminal ? OWN_TERMINAL : []),
      ...siteWords("srun"),
      "-v",
      ...oneTaskAt(request.node),
      `--job-name=${request.name}`,
      hasTerminal ? "--pty" : `--error=${errors.path}`,
      ...["/bin/sh", "-c", START, found.executable, "task", "--bundle", box, "--of", "job", "--env", "clean", "--"],
      ...request.args,
    ] as unknown as [string, ...string[]];
    const known = { SLURM_CONTAINER: request.bundle, SLURM_CONTAINER_ID: request.containerId };
    const srun = spawnOnStreams(words, { env: { ...env, ...known }, cwd: "/", stdin, stdout });
    return follow(srun, { request, executable: found.executable, errors, stderr });
  }

  execCommand(place: RemotePlace, process: string, { hasTerminal }: { readonly hasTerminal: boolean }): RemoteCommand {
    const { argv, env } = besideIt(place, "exec", { options: hasTerminal ? ["--pty"] : [], task: ["--exec", place.step, process] });
    return { argv: hasTerminal ? [...OWN_TERMINAL, ...argv] : argv, env };
  }

  askCommand(place: RemotePlace, question: ContainerQuestion): RemoteCommand {
    return besideIt(place, question.op, { options: ["--input=none"], task: ["--ask", place.step, JSON.stringify(question)] });
  }

  async signal(place: RemotePlace, signal: number): Promise<void> {
    const run = async ({ argv, env }: RemoteCommand) =>
      await runChild(argv, { env, cwd: "/", signal: new AbortController().signal, timeoutMs: ANSWER_MS });
    if (!OF_ALL.has(signal)) {
      const told = await run(besideIt(place, "kill", { options: ["--input=none"], task: ["--kill", place.step, String(signal)] }));
      if (shellCode(told.status) === 0) return;
    }
    // To every process of the step: what stops all of them, and what is left when the node does not run a command any more.
    const argv = [...siteWords("scancel"), `--signal=${signal}`, place.step] as unknown as [string, ...string[]];
    const said = await run({ argv, env: stepEnvironment(place.jobId) });
    if (shellCode(said.status) !== 0) throw new BerthError("SIGNAL", `Cannot signal step ${place.step}: ${said.stderr.trim()}`);
  }

  async #bringRootfs(request: RemoteContainerRequest, env: Env, signal: AbortSignal): Promise<Brought> {
    const executable = selfPath();
    if (executable === undefined)
      throw new BerthError("NOT_COMPILED", `Only the built executable can be used on nodes, not ${selfOnDisk().join(" ")}`, {
        hint: "run: npm run build",
      });
    const cache = nodeCache(env);
    const { executableStamp, executableSha } = await describeExecutable(executable);
    const witness = (await captureOutput(["/bin/sh", "-c", WITNESS, "sh", request.rootfs], env)).stdout.split(" ", 1)[0] ?? "";
    const ask = async (sha: string) => {
      const args = [cache, request.rootfs, witness, sha, executable, executableStamp, executableSha];
      const words = [...stepWords([request.node]), "--input=none", "/bin/sh", "-c", PROBE_ROOTFS, "sh", ...args];
      const { stdout } = await captureOutput(words as unknown as [string, ...string[]], env);
      const match = /^berth-box (\S+) (\S+) (shared|cached|lacks) (shared|cached|lacks)$/m.exec(stdout);
      if (match === null) throw new BerthError("TRANSFER", `Cannot ask ${request.node} what it has`, { hint: "see above what srun said" });
      return { place: match[2] ?? "", rootfs: match[3] as Presence, executable: match[4] as Presence };
    };
    let answer = await ask("-");
    const lacking = [{ node: request.node }];
    let rootfs = request.rootfs;
    if (answer.rootfs !== "shared" && !request.isStaged) {
      const sha = await rootfsSha(request.rootfs, { signal });
      answer = await ask(sha);
      const archive = rootfsArchiveCommand(request.rootfs).map(quote).join(" ");
      if (answer.rootfs !== "cached") await send("bundle", sha, lacking, { cache, env, source: archive });
      rootfs = `${answer.place}/bundle-${sha}/rootfs`;
    }
    if (answer.executable === "lacks") await send("berth", executableSha, lacking, { cache, env, source: `< ${quote(executable)}` });
    return {
      place: answer.place,
      rootfs,
      executable: answer.executable === "shared" ? executable : `${answer.place}/berth-${executableSha}`,
    };
  }

  /** Gives its path on the node. */
  async #bringBox(request: RemoteContainerRequest, { place, rootfs, env }: Brought & { readonly env: Env }): Promise<string> {
    const token = crypto.randomUUID();
    const box = `${place}/box-${token}`;
    const here = mkdtempSync(join(ensurePrivateDir(directories().runtime), "box-"));
    try {
      for (const [name, path] of request.files) copyFileSync(path, join(here, name));
      writeFileSync(join(here, "config.json"), request.config({ rootfs, box }), { mode: 0o600 });
      const srun = [...stepWords([request.node]), "/bin/sh", "-c", UNBOX, "sh", nodeCache(env), token].map(quote).join(" ");
      const line = `tar -C ${quote(here)} -cf - . | ${srun}`;
      if (shellCode(await spawnForeground(["/bin/sh", "-c", line], env).exited) !== 0)
        throw new BerthError("TRANSFER", `Cannot send the container's configuration to ${request.node}`, {
          hint: "see above what it said",
        });
      return box;
    } finally {
      rmSync(here, { recursive: true, force: true });
    }
  }
}

const SIGCONT = 18;
const SIGSTOP = 19;
const OF_ALL: ReadonlySet<number> = new Set([SIGCONT, SIGSTOP]);

/** A step of Berth's at the container's side. -QQ: what it says is its streams' alone. */
function besideIt(
  { jobId, node, executable }: RemotePlace,
  name: string,
  { options = [], task }: { readonly options?: readonly string[]; readonly task: readonly string[] },
): RemoteCommand {
  const argv = [
    ...siteWords("srun"),
    "-QQ",
    ...options,
    ...oneTaskAt(node),
    `--job-name=${name}`,
    "/bin/sh",
    "-c",
    START,
    executable,
    "task",
    ...task,
  ];
  return { argv: argv as unknown as [string, ...string[]], env: stepEnvironment(jobId) };
}

interface Brought {
  /** The cache, on the node. */
  readonly place: string;
  readonly rootfs: string;
  readonly executable: string;
}

function oneTaskAt(node: string): string[] {
  return ["--overlap", "--nodes=1", "--ntasks=1", `--nodelist=${node}`, "--mpi=none", "--kill-on-bad-exit=0"];
}

function stepEnvironment(jobId: number): Record<string, string> {
  const env: Record<string, string> = { HOME: ownAccount().home, USER: ownAccount().name };
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined && KEPT_VARIABLES.test(name)) env[name] = value;
  return { PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", ...env, SLURM_JOB_ID: String(jobId) };
}

/** srun's words become the step's place, its end and what is worth telling. */
function follow(
  srun: ReturnType<typeof spawnOnStreams>,
  {
    request,
    executable,
    errors,
    stderr,
  }: { readonly request: RemoteContainerRequest; readonly executable: string; readonly errors: ErrorPipe; readonly stderr: number },
): RemoteContainer {
  const started = Promise.withResolvers<RemotePlace>();
  started.promise.catch(() => undefined); // who only waits for the end hears of it there
  let step = "";
  let failure = "";
  let hasLostNode = false;
  const read = async () => {
    for await (const line of linesOf(srun.stderr)) {
      const word = parseSrunLine(line);
      if (word.kind === "launching") step = `${word.jobId}.${word.step}`;
      else if (word.kind === "started") started.resolve({ jobId: request.jobId, step, node: request.node, executable });
      else if (word.kind === "failed" || word.kind === "message") {
        failure += `${word.text}\n`;
        if (word.kind === "message") {
          hasLostNode ||= /^error: Node failure on /.test(word.text);
          request.onMessage(`srun: ${word.text}`);
        }
      }
    }
  };
  const reading = read();
  const relaying = errors.read((bytes) => void writeFully(stderr, bytes));
  const exited = srun.exited.then(async (status): Promise<ExitStatus> => {
    await reading;
    errors[Symbol.dispose]();
    await relaying;
    started.reject(new BerthError("START_FAILED", failure.trim().split("\n", 1)[0] || "srun has ended before the container started"));
    return hasLostNode && status.kind === "exited" && status.code === 0 ? { kind: "exited", code: 1 } : status;
  });
  return { started: started.promise, exited };
}
