/**
 * `scrun create`: checks the bundle, takes the id, leaves an anchor behind, and ends as soon as the container is created, or its
 * job queued: podman gives up on a create after 240 s, so that the queue is waited for in `start` (spec: scrun §6, L-39).
 */
import { existsSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { BerthError } from "#job/errors.ts";
import { nowMs, parseJobId } from "#job/id.ts";
import { shellCode } from "#job/outcome.ts";
import type { JobRequest, SubmitContext } from "#job/request.ts";
import { sessionId } from "#platform/libc.ts";
import { sendSignal } from "#platform/process-tree.ts";
import type { RunningProcess } from "#platform/spawn.ts";
import { findUnmade } from "../shared-namespaces.ts";
import { AnchorClient } from "./anchor-client.ts";
import type { AnchorPlan } from "../anchor-wire.ts";
import { explainRefusal } from "../request/asked-devices.ts";
import { has, lastValue, type Given } from "./command-line.ts";
import { readConfig, type BundleConfig } from "../config.ts";
import { jobRequestOf } from "../request/job-request.ts";
import { findOrigin } from "../request/origin.ts";
import type { ContainerPlace } from "../place.ts";
import { planStaging } from "../staging/plan-staging.ts";
import { Log, type LogFormat } from "../log.ts";
import { findRealRuntime } from "./real-runtime.ts";
import { stageOutLeftovers } from "../staging/staged-record.ts";
import { startStandIn } from "../stand-in/stand-in.ts";
import { readStartWait } from "../start-wait.ts";
import { definedVariables, type StartedAnchor } from "./start-anchor.ts";

const SOCKET_WAIT_MS = 20_000;
const STOP_MS = 5000;
/** Most creates are answered by then; after it, it is worth looking whether a controller runs at all. */
const PATIENCE_MS = 40;
const SIGKILL = 9;
const never = new AbortController().signal;

export interface CreateCall {
  readonly started: StartedAnchor;
  readonly given: readonly Given[];
  readonly submitLine: string;
  readonly log: { readonly file: string; readonly format: string } | null;
  readonly logLevel: number;
  /** Global options for the real runtime. */
  readonly runtimeOptions: readonly string[];
  /** Sees to it that a controller runs. */
  readonly startController: () => Promise<void>;
  /** It is for a node of a cluster: that has a runtime. */
  readonly isRemote: boolean;
}

/** The runtime has said on stderr why it failed. */
export class AlreadySaid extends BerthError {}

/** @throws BerthError; nothing is left behind then */
export async function createContainer(
  call: CreateCall,
  { onExit }: { readonly onExit?: (code: number) => void } = {},
): Promise<ContainerPlace> {
  const { given } = call;
  const { place, anchor, preserved } = call.started;
  const { id } = place;
  const bundle = resolve(lastValue(given, "bundle") || ".");
  let hasPlan = false;
  try {
    const configFile = lastValue(given, "config");
    const config = configFile === undefined ? readConfig(bundle) : readConfig(bundle, resolve(configFile));
    const plan = await makePlan(call, { id, bundle, config, preserved });
    place.writePlan(plan);
    hasPlan = true;
    const { initPid } = await handOver(place, anchor, { config, startController: call.startController });
    if (onExit !== undefined) void anchor.exited.then((status) => onExit(shellCode(status)));
    const pidFile = lastValue(given, "pid-file");
    if (pidFile === undefined || pidFile === "") return place;
    const pipe = call.started.standInPipe;
    const hasPidNamespace = config.namespaces.some(({ type }) => type === "pid");
    const standIn = pipe === undefined || initPid === null ? undefined : startStandIn(place, { pipe, initPid, hasPidNamespace });
    // Without a newline: docker's reader wants digits only.
    writeFileSync(pidFile, String(standIn ?? anchor.pid));
    return place;
  } catch (error) {
    await stopAnchor(place, { anchor, hasPlan });
    const format = (call.log?.format ?? "text") as LogFormat;
    await stageOutLeftovers(place, new Log({ file: call.log?.file, format, stderrLevel: call.logLevel }));
    place.remove();
    throw error;
  }
}

async function makePlan(
  call: CreateCall,
  facts: { readonly id: string; readonly bundle: string; readonly config: BundleConfig; readonly preserved: number },
): Promise<AnchorPlan> {
  const { config, bundle, id } = facts;
  const { given } = call;
  const environment = definedVariables(process.env);
  // Of the container's variables only these are for us (spec: scrun §3.1): the others must not become ours.
  const told = { ...environment };
  for (const [name, value] of Object.entries(config.environment)) if (/^S(CRUN|LURM)_/.test(name)) told[name] = value;
  const runtime = call.isRemote ? "" : await findRealRuntime({ signal: never });
  const submit = submitContext(call, bundle);
  const origin = findOrigin({ bundle, id, config });
  const jobText = told["SLURM_JOB_ID"] ?? "";
  const jobId = jobText === "" ? null : (parseJobId(jobText) ?? null);
  if (jobText !== "" && jobId === null) throw new BerthError("OPTION", `Invalid SLURM_JOB_ID "${jobText}"`);
  const follows = containersToFollow(call, config);
  const name = told["SCRUN_JOB_NAME"] ?? origin.name ?? origin.image ?? "scrun";
  return {
    id,
    bundle,
    rootfs: config.rootfs,
    configFile: config.file,
    hasTerminal: config.hasTerminal,
    pidFile: lastValue(given, "pid-file") ?? null,
    log: call.log,
    annotations: { ...config.annotations, ...(origin.image === undefined ? {} : { "berth.image": origin.image }) },
    ociVersion: config.ociVersion,
    runtime,
    runtimeOptions: call.runtimeOptions,
    createOptions: createOptions(given, facts.preserved, runtime),
    request:
      jobId !== null
        ? null
        : after(
            follows.flatMap((place) => place.read()?.jobId ?? []),
            jobRequestOf(config, {
              environment: told,
              context: { cwd: bundle, now: nowMs(), isRoot: false, readFile: () => undefined },
              submit,
              name,
              bundle,
              containerId: id,
              command: origin.image ?? bundle,
              comment: origin.image ?? null,
            }),
          ),
    jobId,
    submit,
    name,
    environment,
    staging: planStaging(environment, told),
    follows: follows.map((place) => place.id),
    startWait: readStartWait(told),
    logLevel: call.logLevel,
  };
}

/**
 * Containers whose namespaces it joins, as far as they still wait. On a cluster nothing is joined.
 * @throws BerthError NAMESPACE_GONE when it cannot wait for them, because the engine wants its terminal now
 */
function containersToFollow({ isRemote, started }: CreateCall, { config, hasTerminal }: BundleConfig): readonly ContainerPlace[] {
  const unmade = isRemote ? [] : findUnmade(config, started.place.root);
  const [first] = unmade;
  if (first !== undefined && hasTerminal) {
    const why = `container ${first.id}, whose namespaces are to be joined, does not run yet: its job is queued`;
    throw new BerthError("NAMESPACE_GONE", why, { hint: "a container with a terminal can be started when that one runs" });
  }
  return unmade;
}

/** Earlier it would only hold its resources, and perhaps theirs. */
function after(jobIds: readonly number[], request: JobRequest): JobRequest {
  if (jobIds.length === 0) return request;
  const { dependency: own } = request.options;
  if (own?.includes("?") === true) return request; // any of them is enough: no more can be said beside that
  const dependency = `${own === null ? "" : `${own},`}after:${jobIds.join(":")}`;
  return { ...request, options: { ...request.options, dependency } };
}

/** What the real runtime's create gets, besides what is ours: bundle, pid file, id. */
function createOptions(given: readonly Given[], preserved: number, runtime: string): string[] {
  const options: string[] = [];
  const consoleSocket = lastValue(given, "console-socket");
  if (consoleSocket !== undefined && consoleSocket !== "") options.push("--console-socket", consoleSocket);
  for (const name of ["no-pivot", "no-new-keyring"]) if (has(given, name)) options.push(`--${name}`);
  if (has(given, "no-subreaper") && runtime.endsWith("/crun")) options.push("--no-subreaper");
  if (preserved > 0) options.push("--preserve-fds", String(preserved));
  return options;
}

/** Over when the container is created, or its job queued. */
async function handOver(
  place: ContainerPlace,
  anchor: RunningProcess,
  { config, startController }: { readonly config: BundleConfig; readonly startController: () => Promise<void> },
): Promise<{ readonly initPid: number | null }> {
  using client = await connectSoon(place, anchor);
  const asked = client.ask({ op: "create" });
  const isLate = await Promise.race([asked.then(() => false), Bun.sleep(PATIENCE_MS).then(() => true)]);
  // It starts no controller itself; if none runs, it is for us to do so.
  if (isLate) await Promise.race([asked, startController()]);
  const answer = await asked;
  if (answer?.event === "created") return answer;
  if (answer?.event === "failed") {
    const options = answer.hint === null ? {} : { hint: answer.hint };
    throw answer.isSaid
      ? new AlreadySaid("RUNTIME_FAILED", answer.message, options)
      : new BerthError("CREATE_FAILED", explainRefusal(answer.message, config.config), options);
  }
  throw new BerthError("ANCHOR_LOST", "Cannot create container: its anchor has gone");
}

async function connectSoon(place: ContainerPlace, anchor: RunningProcess): Promise<AnchorClient> {
  let hasEnded = false;
  void anchor.exited.then(() => {
    hasEnded = true;
  });
  const deadline = performance.now() + SOCKET_WAIT_MS;
  // Often at first: its start takes about 10 ms, and somebody waits.
  for (let waitMs = 0.5; performance.now() < deadline && !hasEnded; waitMs = Math.min(waitMs * 1.02, 20)) {
    if (existsSync(place.socket())) {
      const client = await AnchorClient.find(place);
      if (client !== undefined) return client;
    }
    await Bun.sleep(waitMs);
  }
  throw new BerthError("ANCHOR_LOST", "Cannot create container: its anchor did not start");
}

function submitContext(call: CreateCall, bundle: string): SubmitContext {
  const umask = process.umask(0o077);
  process.umask(umask);
  return {
    submitDir: process.cwd(),
    workDir: bundle,
    host: hostname().split(".", 1)[0] ?? "localhost",
    sid: sessionId(),
    submitLine: call.submitLine,
    umask,
    rlimits: {},
    environment: {},
  };
}

/** Without a plan it has nothing to take back. With one it ends its job first, which it does by itself when that was refused. */
async function stopAnchor(
  place: ContainerPlace,
  { anchor, hasPlan }: { readonly anchor: RunningProcess; readonly hasPlan: boolean },
): Promise<void> {
  if (hasPlan) {
    using client = await AnchorClient.find(place);
    client?.say({ op: "end" });
    if ((await Promise.race([anchor.exited, Bun.sleep(STOP_MS)])) !== undefined) return;
  }
  sendSignal(anchor.pid, SIGKILL);
  await anchor.exited;
}
