/** From a bundle's config.json to the one a task runs with (oci-conf §9.3). Only what is listed there changes. */
import { statSync } from "node:fs";
import type { Bundle } from "./bundle.ts";
import type { ContainerEdits } from "./cdi-spec.ts";
import { addCdiMounts, applyCdiEdits } from "./cdi-edits.ts";
import { envEntries, type Environment } from "./environment.ts";
import { isObject, openObject, printJson, toJson, type Json } from "./json.ts";
import { readMountTable } from "./mount-flags.ts";
import { MountPlan } from "./mounts.ts";
import { completeForRootless, type Ids } from "./rootless.ts";

export interface BatchFiles {
  readonly scriptPath: string;
  readonly stdin: string | null;
  readonly stdout: string | null;
  readonly stderr: string | null;
}
export interface StepConfigOptions {
  readonly batch: BatchFiles | null;
  readonly disableHooks: readonly string[];
  /** Where the step's spool directory appears inside; null leaves it out. */
  readonly spoolMount: { readonly source: string; readonly destination: string } | null;
  /** Whose container it is when the user is not root. */
  readonly rootless: Ids | null;
  readonly runtime: "crun" | "other";
  /** What the step's devices need. */
  readonly cdi?: ContainerEdits | null;
  /** A directory that the mounts may need; whoever gives it removes it after the step. */
  readonly layersDir?: string | null;
}

/** config.json of a step, with holes for what differs between its tasks: each task costs one joining of texts. */
export class StepConfig {
  readonly #texts: readonly string[];
  readonly #plan: MountPlan;
  /** Where the batch script is inside; null for other steps. */
  readonly scriptInside: string | null;

  /** Takes the bundle's config over and changes it. */
  constructor(bundle: Bundle, options: StepConfigOptions) {
    const { config } = bundle;
    const process = openObject(config, "process");
    const root = openObject(config, "root");
    root.set("path", bundle.rootfs);
    const found = config.get("mounts");
    const mounts = Array.isArray(found) ? found : [];
    config.set("mounts", mounts);
    if (options.cdi != null) applyCdiEdits(config, options.cdi, { isRootless: options.rootless !== null });
    if (options.rootless !== null) completeForRootless(config, options.rootless, options.runtime);
    this.#plan = new MountPlan(bundle.rootfs, mounts, options.layersDir ?? null);
    const covers = this.#plan.coversFor(mounts);
    if (options.cdi != null) addCdiMounts(this.#plan, options.cdi);
    if (options.spoolMount !== null) this.#plan.add({ ...options.spoolMount, options: ["bind"] });
    this.scriptInside = options.batch === null ? null : addBatchFiles(this.#plan, options.batch);
    mounts.unshift(...covers);
    mounts.push(...this.#plan.added);
    if (options.rootless !== null) keepLockedFlags(mounts);
    const hooks = config.get("hooks");
    if (isObject(hooks)) for (const name of options.disableHooks) hooks.delete(name);
    const unique = crypto.randomUUID();
    for (const hole of ["terminal", "env", "args"]) process.set(hole, `${unique} ${hole} ${unique}`);
    // Split at the holes with the quotes around them: odd texts are the holes' names, in config.json's own order.
    this.#texts = printJson(config)
      .split(unique)
      .map((text, index, all) =>
        index % 2 === 1 ? text.trim() : text.slice(index === 0 ? 0 : 1, index === all.length - 1 ? text.length : -1),
      );
  }

  isHidden(inside: string): boolean {
    return this.#plan.isHidden(inside);
  }

  print(task: { readonly args: readonly string[]; readonly env: Environment; readonly hasTerminal: boolean }): string {
    const filling = (hole: string) => toJson(hole === "env" ? envEntries(task.env) : hole === "args" ? task.args : task.hasTerminal);
    return this.#texts.map((text, index) => (index % 2 === 0 ? text : printJson(filling(text), "\n    "))).join("");
  }
}

/** Every read-only bind gets the flags of its source that it may not lose. */
function keepLockedFlags(mounts: readonly Json[]): void {
  for (const mount of mounts) {
    if (!isObject(mount)) continue;
    const options = mount.get("options");
    const source = mount.get("source");
    if (!Array.isArray(options) || typeof source !== "string" || !source.startsWith("/")) continue;
    if (!options.includes("ro") || !(options.includes("bind") || options.includes("rbind"))) continue;
    mount.set("options", [
      ...options,
      ...readMountTable()
        .flagsOf(source)
        .filter((flag) => !options.includes(flag)),
    ]);
  }
}

function addBatchFiles(plan: MountPlan, batch: BatchFiles): string {
  // The interface says /tmp/slurm; an image without /tmp gets it where config.json mounts a file system of its own.
  const base = !plan.canPlace("/tmp/slurm/startup") && plan.isHidden("/dev/slurm/startup") ? "/dev/slurm" : "/tmp/slurm";
  for (const name of ["stdin", "stdout", "stderr"] as const) {
    const source = batch[name];
    if (source !== null && source !== "/dev/null" && statSync(source, { throwIfNoEntry: false }) !== undefined) {
      plan.add({ destination: `${base}/${name}`, source, options: ["bind"] });
    }
  }
  plan.add({ destination: `${base}/startup`, source: batch.scriptPath, options: ["bind", "ro"] });
  return `${base}/startup`;
}
