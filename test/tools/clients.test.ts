// Tools that cannot be installed here, by their command lines: what each one submits, asks and cancels with, word for word,
// and how it reads the answers (commands.md 17, and the sources of the projects named at each test).
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { until } from "../e2e/site.ts";
import { Place, USER } from "./place.ts";

let place: Place;
beforeAll(() => {
  place = new Place();
});
afterAll(async () => {
  await place.shell("scancel -u $USER");
  expect(await place.leftovers(15_000)).toEqual([]);
  expect(place.complaints()).toEqual([]);
  await place[Symbol.asyncDispose]();
}, 60_000);

/** The named group or the first one, of an expression that must match. */
function take(text: string, pattern: RegExp): string {
  const match = pattern.exec(text);
  const found = match?.groups?.["id"] ?? match?.[1];
  if (found === undefined) throw new Error(`${pattern} does not match ${JSON.stringify(text)}`);
  return found;
}

const stateOf = async (id: string) => (await place.output(`squeue -h -t all -o %T -j ${id}`)).trim();
const reaches = async (id: string, state: string) => {
  await until(`job ${id} to be ${state}`, async () => (await stateOf(id)).split("\n").every((seen) => seen === state));
};

/** nextflow-io/nextflow, SlurmExecutor.groovy and AbstractGridExecutor.groovy */
describe("Nextflow", () => {
  const STATES = new Map([
    ["PD", "PENDING"],
    ["R", "RUNNING"],
    ["CA", "ERROR"],
    ["CF", "PENDING"],
    ["CG", "RUNNING"],
    ["CD", "DONE"],
    ["F", "ERROR"],
    ["TO", "ERROR"],
    ["NF", "ERROR"],
    ["S", "HOLD"],
    ["ST", "HOLD"],
    ["PR", "ERROR"],
    ["BF", "ERROR"],
  ]);
  const script = (cwd: string, name: string, command: string) => `#!/bin/bash
#SBATCH -J nf-${name}_(1)
#SBATCH -o ${cwd}/.command.log
#SBATCH --no-requeue
#SBATCH --signal B:USR2@30
#SBATCH -c 2
#SBATCH -t 01:00:00
#SBATCH --mem 100M
#SBATCH -p debug
NXF_TASK_WORKDIR="${cwd}"
set -e
on_exit() { code=$1; printf -- $code > ${cwd}/.exitcode; exit $code; }
on_term() { echo "got $1" > ${cwd}/.signal; kill "$pid"; wait "$pid"; }
trap 'on_exit $?' EXIT
trap 'on_term USR2' USR2
trap 'on_term TERM' TERM
touch ${cwd}/.command.begin
(${command}) &
pid=$!
wait $pid || status=$?
exit $status
`;
  const submit = async (name: string, command: string) => {
    const cwd = place.workflow(`nf-${name}`, {});
    await place.output(`mkdir -p ${cwd}`);
    const file = script(cwd, name, command);
    place.workflow(`nf-${name}`, { ".command.run": file });
    return { cwd, id: take(await place.output("sbatch .command.run", { cwd }), /Submitted batch job (\d+)/) };
  };
  const queue = async (...options: string[]) => {
    const text = await place.output(`squeue --noheader -o '%i %t' -t all ${options.join(" ")} -u ${USER}`);
    const found = new Map<string, string>();
    for (const line of text.split("\n").filter((each) => each !== "")) {
      const columns = line.split(/\s+/);
      expect(columns).toHaveLength(2);
      const [id, code] = columns as [string, string];
      expect([...STATES.keys()]).toContain(code);
      found.set(id, STATES.get(code) ?? "");
    }
    return found;
  };

  test("submits, follows three ends in one query, and kills", async () => {
    const [good, bad, long] = await Promise.all([
      submit("good", "echo out; echo err >&2"),
      submit("bad", "exit 3"),
      submit("long", "sleep 600"),
    ]);
    await until("good and bad to end", async () => {
      const seen = await queue("-p", "debug");
      return seen.get(good.id) === "DONE" && seen.get(bad.id) === "ERROR" && seen.get(long.id) === "RUNNING";
    });
    expect((await queue("-p", "short")).has(good.id)).toBe(false);
    expect(place.read("nf-good/.exitcode")).toBe("0");
    expect(place.read("nf-good/.command.log")).toBe("out\nerr\n");
    expect(place.read("nf-bad/.exitcode")).toBe("3");
    await place.written("nf-long/.command.begin", "");
    expect((await place.shell(`scancel ${long.id}`)).status).toBe(0);
    await until("the killed job", async () => (await queue()).get(long.id) === "ERROR");
    expect(await place.output(`sacct -nPX -j ${long.id} -o JobName,State,ReqCPUS,ReqMem,Timelimit`)).toBe(
      `nf-long_(1)|CANCELLED by ${process.getuid?.()}|2|100M|01:00:00\n`,
    );
  });

  test("with Fusion the launcher arrives on standard input", async () => {
    const cwd = place.workflow("nf-fusion", { ".keep": "" });
    const answer = await place.output("sbatch", { cwd, stdin: script(cwd, "fusion", "echo piped") });
    await reaches(take(answer, /Submitted batch job (\d+)/), "COMPLETED");
    expect(place.read("nf-fusion/.command.log")).toBe("piped\n");
  });
});

/** facebookincubator/submitit, slurm.py */
describe("submitit", () => {
  // What submitit's own task does, in shell: it records its environment, and at USR2 writes a checkpoint and asks to be requeued.
  const TASK = `#!/bin/bash
echo "rank $SLURM_PROCID of $SLURM_NTASKS on $SLURM_JOB_NODELIST, task $SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_JOB_ID, restart \${SLURM_RESTART_COUNT-0}"
if [ -e checkpoint.$SLURM_JOB_ID ]; then echo resumed; exit 0; fi
case $1 in
  fail) exit 1 ;;
  wait) trap 'touch checkpoint.$SLURM_JOB_ID; scontrol requeue $SLURM_JOB_ID; exit 143' USR2; touch ready; while :; do sleep 0.1; done ;;
esac
`;
  const file = (parameters: Readonly<Record<string, string>>, logs: string, argument: string) =>
    [
      "#!/bin/bash",
      "",
      "# Parameters",
      ...Object.entries({
        "job-name": "submitit",
        mem: "1GB",
        nodes: "1",
        "open-mode": "append",
        signal: "USR2@90",
        time: "5",
        wckey: "submitit",
        ...parameters,
      })
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, value]) => `#SBATCH --${key}=${value}`),
      "",
      "# command",
      "export SUBMITIT_EXECUTOR=slurm",
      `srun --unbuffered --output ${logs}_%t_log.out --error ${logs}_%t_log.err ./task.sh ${argument}`,
      "",
    ].join("\n");
  const submit = async (cwd: string) => take(await place.output("sbatch submission.sh", { cwd }), /job (?<id>[0-9]+)/);

  /** SlurmInfoWatcher.read_info with read_job_id: states by "ID" or "ID_TASK", ranges of waiting tasks spread out. */
  async function info(...ids: string[]): Promise<Map<string, { state: string; nodes: string }>> {
    const text = await place.output(`sacct -o JobID,State,NodeList --parsable2 ${ids.map((id) => `-j ${id}`).join(" ")}`);
    const [header, ...lines] = text.trimEnd().split("\n");
    expect(header).toBe("JobID|State|NodeList");
    const all = new Map<string, { state: string; nodes: string }>();
    for (const line of lines) {
      const [jobId = "", state = "", nodes = ""] = line.split("|").map((value) => value.trim());
      if (jobId === "" || jobId.includes(".")) continue;
      const ranges = /(?<main>\d+)_\[(?<arrays>(\d+(-\d+)?(,)?)+)(%\d+)?\]/.exec(jobId)?.groups;
      if (ranges === undefined) {
        expect(jobId).toMatch(/^\d+(_\d+)?$/);
        all.set(jobId, { state, nodes });
        continue;
      }
      for (const range of (ranges["arrays"] ?? "").split(",")) {
        const [low = 0, high = low] = range.split("-").map(Number);
        for (let task = low; task <= high; task++) all.set(`${ranges["main"]}_${task}`, { state, nodes });
      }
    }
    return all;
  }

  test("an array of tasks over two nodes: the state of each, waiting ones included", async () => {
    const cwd = place.workflow("submitit-array", { "task.sh": TASK });
    const logs = `${cwd}/%A_%a`;
    const parameters = { array: "0-3%2", nodes: "2", "ntasks-per-node": "1", output: `${logs}_0_log.out`, error: `${logs}_0_log.err` };
    place.workflow("submitit-array", { "submission.sh": `${file({ ...parameters, begin: "now+1hour" }, logs, "run")}` });
    const id = await submit(cwd);
    expect([...(await info(id))].sort()).toEqual(
      [0, 1, 2, 3].map((task) => [`${id}_${task}`, { state: "PENDING", nodes: "None assigned" }]),
    );
    await place.output(`scontrol update JobId=${id} StartTime=now`);
    await until("the array to complete", async () => [...(await info(id)).values()].every(({ state }) => state === "COMPLETED"));
    expect((await info(id)).get(`${id}_2`)).toEqual({ state: "COMPLETED", nodes: "n[1-2]" });
    for (const rank of [0, 1])
      expect(place.read(`submitit-array/${id}_3_${rank}_log.out`)).toBe(`rank ${rank} of 2 on n[1-2], task 3 of ${id}, restart 0\n`);
  });

  test("a job that is told of its time limit requeues itself and goes on from its checkpoint", async () => {
    const cwd = place.workflow("submitit-requeue", { "task.sh": TASK });
    const logs = `${cwd}/%j`;
    place.workflow("submitit-requeue", {
      "submission.sh": file({ output: `${logs}_0_log.out`, error: `${logs}_0_log.err` }, logs, "wait"),
    });
    const id = await submit(cwd);
    await until("the task to be ready", async () => (await place.shell("test -e submitit-requeue/ready")).status === 0);
    expect((await info(id)).get(id)).toEqual({ state: "RUNNING", nodes: "n1" });
    await place.output(`scancel ${id} --signal USR2`); // SlurmJob._interrupt, as its own tests do
    await until("the job to be queued again", async () => (await place.output(`squeue -h -j ${id} -o '%t %r'`)) === "PD BeginTime\n");
    await place.output(`scontrol update JobId=${id} StartTime=now`); // else in two minutes, as in Slurm
    await until("the second run to complete", async () => (await info(id)).get(id)?.state === "COMPLETED");
    const lines = place.read(`submitit-requeue/${id}_0_log.out`).trimEnd().split("\n");
    expect(lines.filter((line) => line.startsWith("rank"))).toEqual([0, 1].map((run) => `rank 0 of 1 on n1, task  of , restart ${run}`));
    expect(lines.at(-1)).toBe("resumed");
  });

  test("a failed task fails its job; unknown ids are no error; scancel", async () => {
    const cwd = place.workflow("submitit-fail", { "task.sh": TASK });
    const logs = `${cwd}/%j`;
    const settings = { output: `${logs}_0_log.out`, error: `${logs}_0_log.err` };
    place.workflow("submitit-fail", { "submission.sh": file(settings, logs, "fail") });
    const failing = await submit(cwd);
    place.workflow("submitit-fail", { "submission.sh": file(settings, logs, "wait") });
    const waiting = await submit(cwd);
    await until("the failure", async () => (await info(failing, waiting, "4000000")).get(failing)?.state === "FAILED");
    await reaches(waiting, "RUNNING");
    await place.output(`scancel ${waiting}`);
    await until("the cancel", async () => (await info(failing, waiting)).get(waiting)?.state === `CANCELLED by ${process.getuid?.()}`);
    expect(await info("4000000")).toEqual(new Map());
  });
});

/** Parsl/parsl, providers/slurm/slurm.py and template.py, launchers/launchers.py */
test("Parsl: blocks of workers, a job that is gone is done, cancel", async () => {
  const STATES = ["PD", "R", "CA", "CF", "CG", "CD", "F", "TO", "NF", "RV", "SE"];
  const cwd = place.workflow("parsl", { ".keep": "" });
  const script = (name: string, nodes: number, command: string) => `#!/bin/bash

#SBATCH --job-name=${name}
#SBATCH --output=${cwd}/${name}.submit.stdout
#SBATCH --error=${cwd}/${name}.submit.stderr
#SBATCH --nodes=${nodes}
#SBATCH --time=10
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --partition=debug
#SBATCH --mem=2g
#SBATCH --cpus-per-task=4

export PARSL_MEMORY_GB=2
export PARSL_CORES=4

export JOBNAME="${name}"

set -e
export CORES=$SLURM_CPUS_ON_NODE
export NODES=$SLURM_JOB_NUM_NODES

[[ "1" == "1" ]] && echo "Found cores : $CORES"
[[ "1" == "1" ]] && echo "Found nodes : $NODES"
WORKERCOUNT=${nodes}

cat << SLURM_EOF > cmd_$SLURM_JOB_NAME.sh
${command}
SLURM_EOF
chmod a+x cmd_$SLURM_JOB_NAME.sh

srun --ntasks ${nodes} -l  bash cmd_$SLURM_JOB_NAME.sh

[[ "1" == "1" ]] && echo "Done"
`;
  const submit = async (name: string, nodes: number, command: string) => {
    place.workflow("parsl", { [name]: script(name, nodes, command) });
    return take(await place.output(`sbatch ${cwd}/${name}`, { cwd }), /Submitted batch job (?<id>\S*)/);
  };
  const status = async (...ids: string[]) => {
    const { status: code, stdout } = await place.shell(`squeue --noheader --format='%i %t' --job '${ids.join(",")}'`);
    if (code !== 0) return undefined; // Parsl keeps what it knew
    const seen = new Map<string, string>();
    for (const line of stdout.split("\n").filter((each) => each !== "")) {
      const [id = "", state = ""] = line.split(/\s+/);
      expect(STATES).toContain(state);
      seen.set(id, state);
    }
    return seen;
  };
  // One after the other: each takes whole nodes, and the first one both.
  const block = await submit("parsl.parsl.auto.1700000000.25", 2, "echo worker");
  const other = await submit("parsl.parsl.auto.1700000001.5", 1, "sleep 600");
  await until("the block of two nodes to be gone", async () => (await status(block, other))?.has(block) === false);
  expect((await status(block, other))?.get(other)).toMatch(/^(PD|R)$/);
  expect(place.read("parsl/parsl.parsl.auto.1700000000.25.submit.stdout").split("\n").sort()).toEqual(
    ["", "0: worker", "1: worker", "Done", "Found cores : 4", "Found nodes : 2"].sort(),
  );
  await reaches(other, "RUNNING");
  expect((await place.shell(`scancel ${other}`)).status).toBe(0);
  await until("the other one to be gone", async () => (await status(block, other))?.has(other) === false);
  // A single id that no cluster knows is an error, and Parsl then keeps the state it had.
  expect(await status("4000000")).toBeUndefined();
}, 60_000);

/** dask/dask-jobqueue, slurm.py and core.py */
test("dask-jobqueue: worker jobs that are told apart by their ids, and cancelled", async () => {
  const cwd = place.workflow("dask", { ".keep": "" });
  const script = `#!/usr/bin/env bash

#SBATCH -J dask-worker
#SBATCH -e ${cwd}/dask-worker-%J.err
#SBATCH -o ${cwd}/dask-worker-%J.out
#SBATCH -p debug
#SBATCH -A myproject
#SBATCH -n 1
#SBATCH --cpus-per-task=2
#SBATCH --mem=1G
#SBATCH -t 00:30:00
JOB_ID=\${SLURM_JOB_ID%;*}

echo worker of $JOB_ID with $SLURM_CPUS_PER_TASK; exec sleep 600
`;
  place.workflow("dask", { "tmp1.sh": script });
  const ids = await Promise.all(
    [1, 2].map(async () => {
      const { status, stdout } = await place.run(["sbatch", `${cwd}/tmp1.sh`], { cwd, env: place.toolEnv });
      expect(status).toBe(0);
      return take(stdout, /(?<id>\d+)/); // Job.job_id_regexp
    }),
  );
  for (const id of ids) await place.written(`dask/dask-worker-${id}.out`, `worker of ${id} with 2\n`);
  expect(await place.output(`squeue -h -j ${ids.join(",")} -o %a`)).toBe("myproject\nmyproject\n");
  for (const id of ids) expect((await place.run(["scancel", id], { env: place.toolEnv })).status).toBe(0);
  for (const id of ids) await reaches(id, "CANCELLED");
});

/** snakemake/snakemake-executor-plugin-slurm, for Snakemake 8 and later */
test("Snakemake's executor plugin: one run is one job name, accounts are none", async () => {
  const cwd = place.workflow("plugin", { ".keep": "" });
  const run = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";
  const submit = async (command: string) => {
    const line = `sbatch --parsable --job-name ${run} --output '${cwd}/%j.log' --export=ALL --comment rule_a_wildcards_1 -t 5 --mem 100 --nodes=1 --ntasks=1 --cpus-per-task=1 -D '${cwd}' --wrap="${command}"`;
    return (await place.output(line, { cwd })).trim().split(";")[0] ?? "";
  };
  const since = new Date(Date.now() - 2 * 86_400_000).toISOString().slice(0, 13);
  const states = async () => {
    const line = `sacct -X --parsable2 --clusters all --noheader --format=JobIdRaw,State --starttime ${since}:00 --endtime now --name ${run}`;
    return new Map(
      (await place.output(line))
        .trim()
        .split("\n")
        .map((row) => row.split("|") as [string, string]),
    );
  };
  const ids = [await submit("srun -n1 --cpu-bind=q true"), await submit("exit 3"), await submit("sleep 600")];
  await until("the first two to end", async () => {
    const seen = await states();
    return seen.get(ids[0] ?? "") === "COMPLETED" && seen.get(ids[1] ?? "") === "FAILED" && seen.get(ids[2] ?? "") === "RUNNING";
  });
  const queued = await place.output(`squeue --format='%i|%T' --states=all --noheader --name ${run}`);
  expect(queued.trim().split("\n").sort()).toEqual([`${ids[0]}|COMPLETED`, `${ids[1]}|FAILED`, `${ids[2]}|RUNNING`].sort());
  await place.output(`scancel ${ids[2]} --clusters=all`);
  await until("the cancel", async () => (await states()).get(ids[2] ?? "")?.split(" ")[0] === "CANCELLED");
  expect(await place.output("scontrol show config | grep -E '^MinJobAge +='")).toMatch(/= \d+ sec$/m);
  expect((await place.output("sinfo -o %P")).split("\n")).toContain("debug*");
  // No accounts are kept, so it goes on without one.
  expect(await place.output(`sacctmgr -n -s list user "${USER}" format=account%256`)).toBe("");
  expect(await place.output("sshare -U --format Account%256 --noheader")).toBe("");
});
