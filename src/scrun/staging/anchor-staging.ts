/**
 * The anchor's side of staging: the site's script is read before there is a job, stage-in follows the grant, stage-out the container's end or whatever
 * came instead of one. Nothing that staging started outlives it.
 */
import { join } from "node:path";
import { isObject, type JsonObject } from "#container/json.ts";
import type { OwnStep } from "#engine/own-step.ts";
import { BerthError } from "#job/errors.ts";
import { outsideIds } from "#platform/namespaces.ts";
import { killAll, type OrphanReaper } from "#platform/orphans.ts";
import { descendants } from "#platform/process-tree.ts";
import type { AnchorPlan, JobPlan } from "../anchor-wire.ts";
import { jobEnvironment } from "./job-environment.ts";
import { Log, type LogFormat } from "../log.ts";
import type { ContainerPlace } from "../place.ts";
import { removeStagedRecord, writeStagedRecord } from "./staged-record.ts";
import { StageInFailure, type Staging, type StagingContext } from "./staging.ts";

/** Where the container runs, and what its processes know of that. */
export type GrantedJob = Pick<OwnStep, "environment" | "job">;

export class AnchorStaging {
  readonly #place: ContainerPlace;
  readonly #reaper: OrphanReaper;
  #staging: Staging | undefined;
  /** From the attempt to stage in until stage-out. */
  #context: StagingContext | undefined;
  #log: Log | undefined;
  readonly #hurry = new AbortController();
  readonly #helpers = new Set<number>();

  constructor(place: ContainerPlace, reaper: OrphanReaper) {
    this.#place = place;
    this.#reaper = reaper;
  }

  /** @throws BerthError SCRUN_LUA: no job is asked for then */
  async open(plan: JobPlan, options: { readonly signal: AbortSignal }): Promise<void> {
    if (plan.staging === null) return;
    const { openLuaStaging } = await import("./lua/lua-staging.ts");
    const { log } = plan;
    this.#log = new Log({ file: log?.file, format: (log?.format ?? "text") as LogFormat, stderrLevel: plan.logLevel });
    this.#staging = await openLuaStaging(
      { plan: plan.staging, environment: plan.environment, dir: join(this.#place.dir, "lua"), log: this.#log },
      options,
    );
  }

  /** The plan of the container where it is now. @throws StageInFailure, BerthError; stage-out has been then */
  async stageIn(plan: AnchorPlan, step: GrantedJob, options: { readonly signal: AbortSignal }): Promise<AnchorPlan> {
    if (this.#staging === undefined) return plan;
    const context = contextOf(plan, step, this.#place);
    this.#remember(plan, context);
    try {
      const { status, bundle, rootPath, message } = await this.#staging.stageIn(context, options);
      this.#remember(plan, { ...context, bundle, rootPath });
      if (status !== 0) throw new StageInFailure(message ?? `Cannot stage the container in: status ${status}`, status);
      // A file system in user space, say: stage-out ends it. There is no container yet.
      for (const { pid, isZombie } of descendants(process.pid)) if (!isZombie) this.#helpers.add(pid);
      return { ...plan, bundle, rootfs: rootPath, configFile: bundle === plan.bundle ? plan.configFile : join(bundle, "config.json") };
    } catch (error) {
      await this.stageOut();
      throw error;
    }
  }

  #remember({ staging, environment }: AnchorPlan, context: StagingContext): void {
    this.#context = context;
    if (staging !== null) writeStagedRecord(this.#place, { plan: staging, environment, context });
  }

  /**
   * A script maps ids for a node, to the user's own there. The runtime works where we are: in a user namespace of podman the user is 0, and
   * the user's own number is somebody else's.
   */
  adaptMappings(config: JsonObject): void {
    const context = this.#context;
    if (context === undefined || context.bundle === context.originalBundle || outsideIds() === undefined) return;
    const linux = config.get("linux");
    if (!isObject(linux)) return;
    for (const [name, own] of [
      ["uidMappings", context.userId],
      ["gidMappings", context.groupId],
    ] as const) {
      const mappings = linux.get(name);
      if (!Array.isArray(mappings)) continue;
      for (const mapping of mappings)
        if (isObject(mapping) && mapping.get("hostID") === own && mapping.get("size") === 1) mapping.set("hostID", 0);
    }
  }

  /** What stage-in has left running, which the container's end does not concern. */
  get helpers(): ReadonlySet<number> {
    return this.#helpers;
  }

  /** Once, whatever came of the container; false when it failed, which is told. */
  async stageOut(): Promise<boolean> {
    const context = this.#context;
    if (this.#staging === undefined || context === undefined) return true;
    this.#context = undefined;
    try {
      const { status, message } = await this.#staging.stageOut(context, { signal: this.#hurry.signal });
      if (status === 0) return true;
      this.#log?.error(message ?? `Cannot stage the container out: status ${status}`);
    } catch (error) {
      this.#log?.error(error instanceof Error ? error.message : String(error), error instanceof BerthError ? error.hint : undefined);
    } finally {
      removeStagedRecord(this.#place);
    }
    return false;
  }

  /** A stage-out that is at work is killed. */
  hurry(reason: Error): void {
    this.#hurry.abort(reason);
  }

  async close(): Promise<void> {
    if (this.#staging === undefined) return;
    await this.#staging[Symbol.asyncDispose]();
    await killAll(this.#reaper);
  }
}

function contextOf(plan: AnchorPlan, step: GrantedJob, place: ContainerPlace): StagingContext {
  return {
    id: plan.id,
    bundle: plan.bundle,
    originalBundle: plan.bundle,
    rootPath: plan.rootfs,
    originalRootPath: plan.rootfs,
    spoolDir: place.spool,
    configFile: plan.configFile,
    jobId: step.job.jobId,
    userId: step.job.userId,
    groupId: step.job.groupId,
    jobEnvironment: Object.entries(jobEnvironment(plan, step, place)).map(([name, value]) => `${name}=${value}`),
  };
}
