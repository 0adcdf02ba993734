/** What each request of a command asks of the controller: the list of wire.ts, done. Decides nothing about jobs. */
import type { JobId } from "#job/id.ts";
import type { JobRecord } from "#job/record.ts";
import { VERSION } from "#job/version.ts";
import type { AccountingFilter, EngineInfo } from "../engine.ts";
import { matches } from "../job-matches.ts";
import type { Caller } from "./caller.ts";
import { describeConfig, nodeRecords, partitionRecords } from "./cluster-view.ts";
import type { ClusterConfig } from "./config.ts";
import type { Controller } from "./controller.ts";
import { LiveJob } from "./live-job.ts";
import { measureSteps } from "./measure-steps.ts";
import { stepProcesses } from "./step-processes.ts";
import { applyUpdate } from "./update.ts";
import { toWire } from "./wire-error.ts";
import type { DaemonStatus, Operation, Operations } from "./wire.ts";

export interface OperationsOptions {
  readonly controller: Controller;
  readonly logFile: string;
  readonly host: string;
  readonly onStop: (options: { readonly cancelJobs: boolean; readonly by: number }) => Promise<void>;
}

/** By name; `id` is the request's. What they return, or resolve with, is the answer. */
export type Handlers = { readonly [Op in Operation]: (args: Operations[Op]["args"], id: number) => unknown };

export function operationsFor(caller: Caller, options: OperationsOptions): Handlers {
  const { controller } = options;
  return {
    info: () => infoOf(options),
    submit: async ({ request, token }) => {
      controller.store.proveInPlace();
      const job = controller.submit(request, caller.submitter, { token, holder: null });
      await controller.store.sync();
      return { jobId: job instanceof LiveJob ? job.id : job.jobId };
    },
    allocate: ({ request, token }, id) => {
      controller.store.proveInPlace();
      const holder = caller.holder(id);
      const job = controller.submit(request, caller.submitter, { token, holder });
      // Asked again with the same token, after a controller was killed before it could answer: the job is there, the holder is new.
      if (job instanceof LiveJob && job.holder !== holder) return caller.hold(controller.holders.resume(job.id, holder));
      return caller.hold(job);
    },
    resumeAllocation: ({ jobId }, id) => caller.hold(controller.holders.resume(jobId, caller.holder(id))),
    releaseAllocation: ({ jobId, exit }) => controller.holders.release(jobId, exit),
    detachAllocation: ({ jobId }) => controller.holders.detach(jobId),
    findAllocation: ({ jobId }) => controller.allocationInfo(controller.findRunning(jobId)),
    createStep: ({ request }, id) => {
      controller.store.proveInPlace();
      return controller.createStep(request, {
        signal: caller.gone,
        onWait: (text) => caller.tell(id, { kind: "waiting", text }),
      });
    },
    measureSteps: ({ jobIds }) => jobIds.flatMap((jobId) => measureSteps(controller.paths, controller.book.live.get(jobId as JobId))),
    findStep: ({ jobId, stepKey }) => controller.findStep(jobId, stepKey),
    createOwnStep: ({ request }) => {
      return controller.createOwnStep(request, caller.process, (check) => caller.owns(check));
    },
    ownStepReady: ({ jobId, stepKey }) => controller.ownStepReady(jobId, stepKey),
    tryJob: ({ request }) => controller.passes.estimate(request, caller.submitter),
    cancel: (target) => controller.ends.cancel(target, caller.uid),
    cancelEach: ({ targets }) => controller.ends.cancelEach(targets, caller.uid).map((error) => (error === null ? null : toWire(error))),
    signal: (target) => controller.control.signal(target, caller.uid),
    hold: (target) => controller.control.hold(target),
    release: (target) => controller.control.releaseHold(target),
    notify: ({ text, ...target }) => controller.control.notify(target, text),
    requeue: (target) => controller.control.requeue(target),
    suspend: (target) => controller.control.suspend(target),
    resume: (target) => controller.control.resume(target),
    update: (target) => applyUpdate(controller, target),
    updateNodes: ({ names, changes }) => {
      controller.ends.nodesFell(controller.cluster.updateNodes(names, changes, caller.submitter.userName));
      controller.requestPass();
    },
    updatePartition: ({ name, changes }) => {
      controller.cluster.updatePartition(name, changes);
      controller.requestPass();
    },
    jobs: (filter) => {
      const hidden = filter.skipsHidden === true ? hiddenPartitions(controller.config) : [];
      return controller.book.records(filter.jobIds).filter((job) => matches(job, filter) && !hidden.includes(job.partition));
    },
    steps: ({ jobId }) => [...controller.book.stepRecords()].filter((step) => jobId === null || step.jobId === jobId),
    processes: ({ jobId }) => stepProcesses(controller.paths, controller.book.live.values(), jobId),
    nodes: () => nodeRecords(controller),
    partitions: () => partitionRecords(controller.config),
    config: () => describeConfig(controller, options.host),
    accounting: (filter) => accounting(controller, filter),
    batchScript: ({ jobId }) => controller.book.batchScript(jobId),
    waitForEnd: ({ jobId }) => controller.book.waitForEnd(jobId, caller.gone),
    status: () => statusOf(options),
    stop: async ({ cancelJobs }) => {
      await options.onStop({ cancelJobs, by: caller.uid });
    },
  };
}

function hiddenPartitions({ partitions }: ClusterConfig): readonly string[] {
  return partitions.flatMap(({ name, isHidden }) => (isHidden ? [name] : []));
}

function accounting(controller: Controller, filter: AccountingFilter): readonly JobRecord[] {
  return controller.store
    .accounting(filter)
    .map((job) => (job.earlierRun === undefined ? { ...job, ...controller.book.record(job.jobId) } : job))
    .filter((job) => matches(job, filter));
}

function infoOf({ controller, host }: OperationsOptions): EngineInfo {
  const { config } = controller;
  return {
    engine: "embedded",
    clusterName: config.clusterName,
    host,
    version: VERSION,
    configFile: config.file,
    killWaitSeconds: config.killWaitSeconds,
    firstPartition: config.partitions.find((partition) => partition.isDefault)?.name ?? "",
  };
}

function statusOf({ controller, logFile }: OperationsOptions): DaemonStatus {
  return {
    pid: process.pid,
    version: VERSION,
    startedAt: controller.startedAt,
    liveJobs: controller.book.liveJobs,
    runningSteps: Array.from(controller.book.runningSteps(), ({ run, stepKey }) => ({ jobId: run.jobId, stepKey })),
    stateDir: controller.paths.state,
    logFile,
    passes: controller.passes.times,
    configWarnings: controller.config.warnings,
  };
}
