/** `srun --bcast` and `sbcast`: what is copied where (srun(1), sbcast(1)). Pure. */
import type { Bcast } from "#job/request.ts";
import { absolutePath } from "./path.ts";

/** Of libraries: those of the system are on every node. */
const SYSTEM_DIRS = ["/lib", "/usr/lib", "/lib64", "/usr/lib64"] as const;

/** @param destination "" is the working directory */
export function bcastOf(options: {
  readonly source: string;
  readonly destination: string;
  readonly sendLibs: string | null;
  readonly exclude: string | null;
  readonly cwd: string;
}): Bcast {
  const { source, destination, cwd } = options;
  const isDirectory = destination === "" || destination.endsWith("/");
  const path = absolutePath(cwd, destination === "" ? "." : destination);
  return {
    source,
    destination: isDirectory ? `${path.replace(/\/+\.?$/, "")}/` : path,
    sendLibs: isSendLibs(options.sendLibs),
    exclude: excludedDirs(options.exclude),
  };
}

/** The option without a value is "yes". */
export function isSendLibs(value: string | null): boolean {
  return value !== null && !["no", "0"].includes(value.toLowerCase());
}

export function excludedDirs(value: string | null): readonly string[] {
  if (value === null) return SYSTEM_DIRS;
  return value.toLowerCase() === "none" ? [] : value.split(",").filter((dir) => dir !== "");
}

/** Where the program of a step is to be; a destination that ends in `/` is a directory. */
export function bcastPath(
  destination: string,
  step: { readonly jobId: number; readonly stepKey: string | number; readonly node: string },
): string {
  return destination.endsWith("/") ? `${destination}slurm_bcast_${step.jobId}.${step.stepKey}_${step.node}` : destination;
}

export function libraryDir(path: string): string {
  return `${path}_libs`;
}
