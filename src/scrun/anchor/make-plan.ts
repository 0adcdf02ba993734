/**
 * What create was asked for → what the anchor does. The anchor reads create's words itself: it starts at the same time, and need not
 * wait for what another process has found out.
 */
import { hostname } from "node:os";
import { resolve } from "node:path";
import { BerthError } from "#job/errors.ts";
import { nowMs, parseJobId } from "#job/id.ts";
import type { JobRequest, SubmitContext } from "#job/request.ts";
import type { AnchorPlan, JobPlan, WaitingNetwork } from "../anchor-wire.ts";
import { callersVariables, configuresNetworkOf, monitorOf } from "../caller.ts";
import { has, lastValue, preservedFds, type Given } from "../command-line.ts";
import { readConfig, type BundleConfig } from "../config.ts";
import { jobRequestOf } from "../request/job-request.ts";
import { findOrigin } from "../request/origin.ts";
import type { ContainerPlace } from "../place.ts";
import { findUnmade } from "../shared-namespaces.ts";
import { readStartWait } from "../start-wait.ts";
import { planStaging } from "../staging/plan-staging.ts";
import type { Surroundings } from "./become-anchor.ts";

const never = new AbortController().signal;

/** create's command line, read. */
export interface CreateOrder {
  readonly id: string;
  /** create's own options. */
  readonly given: readonly Given[];
  readonly log: { readonly file: string; readonly format: string } | null;
  readonly logLevel: number;
  /** Global options for the real runtime. */
  readonly runtimeOptions: readonly string[];
  readonly submitLine: string;
  /** It is for a node of a cluster: that has a runtime. */
  readonly isRemote: boolean;
}

export interface Planned {
  readonly plan: JobPlan;
  readonly config: BundleConfig;
}

export interface Circumstances {
  readonly place: ContainerPlace;
  readonly creatorPid: number;
  readonly surroundings: Surroundings;
}

/** Now, when nobody listens yet; what the result throws is what is wrong with the bundle, or with what is asked for (BerthError). */
export function planAtOnce(order: CreateOrder, circumstances: Circumstances): () => Planned {
  try {
    const planned = makePlan(order, circumstances);
    return () => planned;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

function makePlan(order: CreateOrder, { place, creatorPid, surroundings }: Circumstances): Planned {
  const { id, given } = order;
  const bundle = resolve(surroundings.cwd, lastValue(given, "bundle") || ".");
  const configFile = lastValue(given, "config");
  const config = configFile === undefined ? readConfig(bundle) : readConfig(bundle, resolve(surroundings.cwd, configFile));
  const environment = callersVariables();
  // Of the container's variables only these are for us (spec: scrun §3.1): the others must not become ours.
  const told = { ...environment };
  for (const [name, value] of Object.entries(config.environment)) if (/^S(CRUN|LURM)_/.test(name)) told[name] = value;
  const submit = submitContext(order, bundle, surroundings);
  const origin = findOrigin({ bundle, id, config });
  const jobText = told["SLURM_JOB_ID"] ?? "";
  const jobId = jobText === "" ? null : (parseJobId(jobText) ?? null);
  if (jobText !== "" && jobId === null) throw new BerthError("OPTION", `Invalid SLURM_JOB_ID "${jobText}"`);
  const follows = containersToFollow(config, { root: place.root, isRemote: order.isRemote });
  const name = told["SCRUN_JOB_NAME"] ?? origin.name ?? origin.image ?? "scrun";
  const context = { cwd: bundle, now: nowMs(), isRoot: false, readFile: () => undefined };
  const asked = { environment: told, context, submit, name, bundle, containerId: id, command: origin.image ?? bundle };
  const monitor = monitorOf(creatorPid);
  const hasPidNamespace = config.namespaces.some(({ type }) => type === "pid");
  const plan: JobPlan = {
    id,
    bundle,
    rootfs: config.rootfs,
    configFile: config.file,
    hasTerminal: config.hasTerminal,
    pidFile: lastValue(given, "pid-file") ?? null,
    log: order.log,
    annotations: { ...config.annotations, ...(origin.image === undefined ? {} : { "berth.image": origin.image }) },
    ociVersion: config.ociVersion,
    runtimeOptions: order.runtimeOptions,
    request: jobId !== null ? null : after(follows, jobRequestOf(config, { ...asked, comment: origin.image ?? null })),
    jobId,
    submit,
    name,
    environment,
    staging: planStaging(environment, told),
    follows: follows.map((place) => place.id),
    startWait: readStartWait(told),
    network: configuresNetworkOf(creatorPid) ? waitingNetworkOf(config) : null,
    logLevel: order.logLevel,
    standIn: monitor === null ? null : { hasPidNamespace, rootfs: order.isRemote ? place.runtimeRoot : config.rootfs },
    monitor,
  };
  return { plan, config };
}

/**
 * Containers whose namespaces it joins, as far as they still wait. On a cluster nothing is joined.
 * @throws BerthError NAMESPACE_GONE when it cannot wait for them, because the engine wants its terminal now
 */
function containersToFollow(
  { config, hasTerminal }: BundleConfig,
  { root, isRemote }: { readonly root: string; readonly isRemote: boolean },
): readonly ContainerPlace[] {
  const unmade = isRemote ? [] : findUnmade(config, root);
  const [first] = unmade;
  if (first !== undefined && hasTerminal) {
    const why = `container ${first.id}, whose namespaces are to be joined, does not run yet: its job is queued`;
    throw new BerthError("NAMESPACE_GONE", why, { hint: "a container with a terminal can be started when that one runs" });
  }
  return unmade;
}

/** Earlier it would only hold its resources, and perhaps theirs. */
function after(places: readonly ContainerPlace[], request: JobRequest): JobRequest {
  const jobIds = places.flatMap((place) => place.read()?.jobId ?? []);
  if (jobIds.length === 0) return request;
  const { dependency: own } = request.options;
  if (own?.includes("?") === true) return request; // any of them is enough: no more can be said beside that
  const dependency = `${own === null ? "" : `${own},`}after:${jobIds.join(":")}`;
  return { ...request, options: { ...request.options, dependency } };
}

/** podman run makes it itself, and names it; containerd's other clients do that too, or run a hook when the container is there. */
function waitingNetworkOf({ namespaces }: BundleConfig): WaitingNetwork | null {
  if (!namespaces.some(({ type, path }) => type === "network" && path === undefined)) return null;
  return namespaces.some(({ type }) => type === "user") ? "withContainer" : "early";
}

function submitContext({ submitLine }: CreateOrder, bundle: string, { cwd, umask, sid }: Surroundings): SubmitContext {
  const host = hostname().split(".", 1)[0] ?? "localhost";
  return { submitDir: cwd, workDir: bundle, host, sid, submitLine, umask, rlimits: {}, environment: {} };
}

/** Which runtime there is takes a while to find out: it can pass while the controller thinks. @throws BerthError what is wrong with the runtimes here */
export async function completePlan(plan: JobPlan, order: CreateOrder): Promise<AnchorPlan> {
  if (order.isRemote) return { ...plan, runtime: "", createOptions: createOptions(order, "") };
  const { findRealRuntime } = await import("../request/real-runtime.ts");
  const runtime = await findRealRuntime({ signal: never });
  if (order.runtimeOptions.includes("disabled") && !runtime.endsWith("/crun")) {
    throw new BerthError("NOT_SUPPORTED", `${runtime} makes no container without a cgroup`, {
      hint: "crun does: berth oci init --runtime crun",
    });
  }
  return { ...plan, runtime, createOptions: createOptions(order, runtime) };
}

/** What the real runtime's create gets, besides what is ours: bundle, pid file, id. */
function createOptions({ given }: CreateOrder, runtime: string): string[] {
  const options: string[] = [];
  const consoleSocket = lastValue(given, "console-socket");
  if (consoleSocket !== undefined && consoleSocket !== "") options.push("--console-socket", consoleSocket);
  for (const name of ["no-pivot", "no-new-keyring"]) if (has(given, name)) options.push(`--${name}`);
  if (has(given, "no-subreaper") && runtime.endsWith("/crun")) options.push("--no-subreaper");
  const preserved = preservedFds(given).length;
  if (preserved > 0) options.push("--preserve-fds", String(preserved));
  return options;
}
