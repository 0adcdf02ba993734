/** The containers of a step, one a node: several nodes of one step may be this host. None when the step has no bundle. */
import { join, resolve } from "node:path";
import { findOciConf } from "#container/oci-conf.ts";
import { openStepContainer } from "#container/open-step-container.ts";
import type { ContainerStep, StepContainer } from "#container/step-container.ts";
import { SCRIPT_FILE, type StepPlan } from "./plan.ts";
import { expandForTask } from "./task-place.ts";

export class StepContainers {
  readonly #spoolDir: string;
  readonly #plan: StepPlan;
  readonly #byNode = new Map<string, StepContainer>();

  constructor(spoolDir: string, plan: StepPlan) {
    this.#spoolDir = spoolDir;
    this.#plan = plan;
  }

  /** Prepares them, before any task is. @throws BerthError when the bundle, oci.conf or the runtime cannot be used */
  async open(options: { readonly signal: AbortSignal }): Promise<void> {
    const { container, facts } = this.#plan;
    if (container === null) return;
    for (const { name } of facts.nodes) this.#byNode.set(name, await openStepContainer(this.#onNode(name, container), options));
  }

  /** What a daemon before us has prepared, to be ended: no task can be started in them. @throws BerthError */
  async openToFinish(): Promise<void> {
    const { container, facts } = this.#plan;
    if (container === null) return;
    const options = { signal: new AbortController().signal, isToFinish: true };
    for (const { name } of facts.nodes)
      if (!this.#byNode.has(name)) this.#byNode.set(name, await openStepContainer(this.#onNode(name, container), options));
  }

  of(node: string): StepContainer | undefined {
    return this.#byNode.get(node);
  }

  /** Of the bundle's config.json, for accounting. */
  get annotations(): Readonly<Record<string, string>> {
    return [...this.#byNode.values()].at(-1)?.annotations ?? {};
  }

  /** Removes what they left in the spool. Idempotent. */
  async cleanUp(): Promise<void> {
    for (const container of this.#byNode.values()) await container[Symbol.asyncDispose]();
    this.#byNode.clear();
  }

  #onNode(nodeName: string, { bundle, gres }: NonNullable<StepPlan["container"]>): ContainerStep {
    const plan = this.#plan;
    return {
      bundle,
      jobId: plan.facts.jobId,
      stepKey: plan.facts.stepKey,
      nodeName,
      userName: plan.user.name,
      userId: plan.user.uid,
      groupId: plan.user.gid,
      workDir: plan.workDir,
      spoolRoot: this.#spoolDir,
      confFile: findOciConf(plan.configDirs) ?? null,
      stateDir: plan.stateDir,
      runtimeRoot: plan.runtimeRoot,
      hasPty: plan.terminal !== null,
      batch: plan.isBatch ? this.#batchFiles() : null,
      gres: gres?.[nodeName] ?? {},
    };
  }

  /** Of the script and its streams: the container sees them where they are. */
  #batchFiles(): NonNullable<ContainerStep["batch"]> {
    const { workDir, stdin, stdout, stderr } = this.#plan;
    const file = (stream: StepPlan["stdout"]) =>
      stream.kind === "file" ? resolve(workDir, expandForTask(this.#plan, stream.pattern, 0)) : null;
    return {
      scriptPath: join(this.#spoolDir, SCRIPT_FILE),
      stdin: file(stdin),
      stdout: file(stdout),
      stderr: file(stderr.kind === "stdout" ? stdout : stderr),
    };
  }
}
