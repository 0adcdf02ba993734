// The contract of every engine, on a real Slurm of four nodes.
import { afterAll, describe, test } from "bun:test";
import { contractOf } from "../contract/engine.ts";
import { canRunContainers, haveSlurm, slurmMajor, SlurmSite } from "./site.ts";

if (haveSlurm) {
  const site = new SlurmSite({ nodes: 4, cpus: 16 });
  afterAll(() => site[Symbol.asyncDispose](), 60_000);
  contractOf({
    name: "slurm",
    open: () => Promise.resolve(site.engine()),
    place: { workDir: site.workDir, bundle: canRunContainers ? site.bundle : null },
    killWaitSeconds: 4, // 5, which Slurm counts in whole seconds
    lacks: {
      "what a script leaves behind ends with the job":
        "tracking of daemons: the private cluster has proctrack/linuxproc, as nobody but root may have cgroups",
      "more CPUs for a task than any node has is refused": "refusal at submission: Slurm 22.05 lets such a job wait",
      ...(slurmMajor() < 24 ? { "afterok of a job that never was is refused": "refusal at submission: Slurm 22.05 accepts it" } : {}),
      "a running job is told by SIGTERM": "who cancelled a job: only slurmdbd knows",
      "a time limit can be changed while the job waits, and only lowered while it runs":
        "an ordinary user: on the private cluster the user is its operator",
      "tasks are cancelled one by one, or all together": "records of array tasks that were cancelled before they started",
      "streams of two tasks come apart, with each its rank": "accounting of steps: slurmdbd",
      "steps are numbered from 0, and each is accounted": "accounting of steps: slurmdbd",
      "a second step waits for the CPUs of the first": "news of a step that waits: srun tells it when it no longer does",
      "a step whose caller goes away is killed": "accounting of steps: slurmdbd",
      "a command that is not there is an exit status with a message": "the errno of a failed execve: Slurm makes it an exit code",
      "a step runs inside, with the job's variables, and keeps its exit code": "accounting of steps: slurmdbd",
      "accounting keeps a job's times in order, and finds it by its window": "times below a second",
    },
  });
} else {
  describe("engine: slurm", () => test.skip("Slurm is not installed", () => undefined));
}
