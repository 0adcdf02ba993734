/** A request as options of the site's sbatch, salloc and srun (commands.md §2 to §4). Pure. */
import type { StepRequest } from "../engine.ts";
import { localTime } from "#job/local-time.ts";
import type { JobOptions, JobRequest } from "#job/request.ts";

export function jobArgv(options: JobOptions, kind: JobRequest["kind"]): string[] {
  const argv: string[] = [];
  const add = (name: string, value: string | number | null) => {
    if (value !== null) argv.push(`--${name}=${value}`);
  };
  const flag = (name: string, isOn: boolean) => {
    if (isOn) argv.push(`--${name}`);
  };
  add("job-name", options.name);
  add("partition", options.partition);
  add("account", options.account);
  add("qos", options.qos);
  add("wckey", options.wckey);
  add("reservation", options.reservation);
  add("comment", options.comment);
  add("nodes", options.nodesMin === null ? null : range(options.nodesMin, options.nodesMax));
  add("ntasks", options.tasks);
  add("ntasks-per-node", options.tasksPerNode);
  add("cpus-per-task", options.cpusPerTask);
  add("mincpus", options.minCpusPerNode);
  add("mem", mebibytes(options.memPerNodeMib));
  add("mem-per-cpu", mebibytes(options.memPerCpuMib));
  add("mem-per-gpu", mebibytes(options.memPerGpuMib));
  add("tmp", mebibytes(options.tmpDiskMib));
  add("gres", options.gres);
  add("gpus", options.gpus);
  add("gpus-per-node", options.gpusPerNode);
  add("gpus-per-task", options.gpusPerTask);
  add("gpus-per-socket", options.gpusPerSocket);
  add("cpus-per-gpu", options.cpusPerGpu);
  add("nodelist", options.nodeList?.join(",") ?? null);
  add("exclude", options.excludeNodes?.join(",") ?? null);
  add("constraint", options.constraint);
  add("licenses", options.licenses);
  add("distribution", options.distribution === "plane" ? `plane=${options.planeSize ?? 1}` : options.distribution);
  flag("exclusive", options.exclusive);
  flag("oversubscribe", options.oversubscribe);
  flag("overcommit", options.overcommit);
  flag("contiguous", options.contiguous);
  flag("no-kill", options.noKill);
  add("time", options.timeLimitMinutes === "unlimited" ? "UNLIMITED" : options.timeLimitMinutes);
  add("time-min", options.timeMinMinutes);
  add("begin", options.beginAt === null ? null : localTime(new Date(options.beginAt)));
  add("deadline", options.deadlineAt === null ? null : localTime(new Date(options.deadlineAt)));
  add("dependency", options.dependency);
  add("kill-on-invalid-dep", options.killOnInvalidDependency === null ? null : options.killOnInvalidDependency ? "yes" : "no");
  flag("hold", options.hold);
  add("priority", options.priority === "top" ? "TOP" : options.priority);
  add("nice", options.nice);
  if (kind === "batch" && options.requeue !== null) argv.push(options.requeue ? "--requeue" : "--no-requeue");
  if (kind !== "batch") add("immediate", options.immediateSeconds);
  add("signal", warnSignal(options.warnSignal));
  add("mail-type", options.mailTypes?.join(",") ?? null);
  add("mail-user", options.mailUser);
  for (const [name, value] of Object.entries(options.unused)) argv.push(value === "" ? `--${name}` : `--${name}=${value}`);
  return argv;
}

/** srun's options for a step inside a job. */
export function stepArgv(request: StepRequest): string[] {
  const { options, resources } = request;
  const argv = [`--jobid=${request.jobId}`, `--job-name=${request.name}`, `--chdir=${request.submit.workDir}`];
  const add = (name: string, value: string | number | null) => {
    if (value !== null) argv.push(`--${name}=${value}`);
  };
  const flag = (name: string, isOn: boolean) => {
    if (isOn) argv.push(`--${name}`);
  };
  add("nodes", resources.nodesMin === null ? null : range(resources.nodesMin, resources.nodesMax));
  add("ntasks", resources.tasks);
  add("ntasks-per-node", resources.tasksPerNode);
  add("cpus-per-task", resources.cpusPerTask);
  add("mem", mebibytes(resources.memPerNodeMib));
  add("mem-per-cpu", mebibytes(resources.memPerCpuMib));
  add("nodelist", resources.nodeList?.join(",") ?? null);
  add("exclude", resources.excludeNodes?.join(",") ?? null);
  add("gres", resources.gres);
  add("distribution", resources.distribution === "plane" ? `plane=${resources.planeSize ?? 1}` : resources.distribution);
  add("relative", options.relativeNode);
  add("time", request.timeLimitMinutes);
  add("mpi", options.mpi);
  add("cpu-bind", options.cpuBind);
  add("task-prolog", options.taskProlog);
  add("task-epilog", options.taskEpilog);
  flag("overcommit", resources.overcommit);
  flag("exact", options.exact);
  flag("overlap", options.overlap || request.insideStep !== null);
  flag("interactive", request.kind === "interactive");
  if (request.immediateSeconds !== null) argv.push("--immediate");
  return argv;
}

function range(min: number, max: number | null): string {
  return max === null || max === min ? String(min) : `${min}-${max}`;
}

function mebibytes(value: number | null): string | null {
  return value === null ? null : `${value}M`;
}

function warnSignal(signal: JobOptions["warnSignal"]): string | null {
  if (signal === null) return null;
  const letters = `${signal.atReservation ? "R" : ""}${signal.toBatch ? "B" : ""}`;
  return `${letters === "" ? "" : `${letters}:`}${signal.signal}@${signal.seconds}`;
}
