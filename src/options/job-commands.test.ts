/** srun, sbatch and salloc, against the sessions in spec/transcripts. */
import { describe, expect, test } from "bun:test";
import type { EpochMs } from "#job/id.ts";
import { checkBatchScript, parseSbatchDirectives, wrapScript } from "./batch-script.ts";
import { parseSalloc } from "./salloc.ts";
import { mergeSbatch, parseSbatch } from "./sbatch.ts";
import type { Env, ParseContext } from "./site.ts";
import { parseSrun } from "./srun.ts";
import { UsageError } from "./usage-error.ts";

const context: ParseContext = {
  cwd: "/w",
  now: new Date(2026, 10, 20, 12).getTime() as EpochMs,
  isRoot: false,
  readFile: (path) => (path === "/w/hosts" ? "n1\nn2\n" : undefined),
};
const NONE = { argv: [], hasComponents: false, warnings: [] };
const split = (words: string) => (words === "" ? [] : words.split(" "));
const srun = (words: string, env: Env = {}) => parseSrun(split(words), env, context);
const salloc = (words: string, env: Env = {}) => parseSalloc(split(words), env, context);
const sbatch = (words: string | readonly string[], { env = {}, script }: { env?: Env; script?: string } = {}) =>
  mergeSbatch({
    line: parseSbatch(typeof words === "string" ? split(words) : words, env),
    env,
    context,
    directives: script === undefined ? NONE : parseSbatchDirectives(script),
  });

/** What would be printed, and the status behind it. */
function failure(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof UsageError) return [...error.lines, error.exitStatus].join("\n");
    throw error;
  }
  return "no error";
}

describe("srun's errors", () => {
  test.each([
    ["", "srun: fatal: No command given to execute.\n1"],
    ["--bogus true", "srun: unrecognized option '--bogus'\nTry \"srun --help\" for more information\n255"],
    ["-t 5:xx true", "srun: error: Invalid --time specification\n255"],
    ["-n abc true", 'srun: error: Invalid numeric value "abc" for --ntasks.\n1'],
    ["-n 0 true", 'srun: error: Invalid numeric value "0" for --ntasks.\n1'],
    ["-c 0 true", 'srun: error: Invalid numeric value "0" for --cpus-per-task.\n1'],
    ["--mem=1Q true", "srun: error: Invalid --mem specification\n255"],
    ["-N 2-1 true", "srun: error: Maximum node count 1 is less than minimum node count 2\n255"],
    ["-N x true", 'srun: error: "x" is not a valid node count\n255'],
    ["-b notatime true", "Invalid time specification (pos=0): notatime\nsrun: error: Invalid --begin specification\n255"],
    ["--mem=1G --mem-per-cpu=1G true", "srun: fatal: --mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive.\n1"],
    ["--open-mode=x true", "srun: error: Invalid --open-mode specification\n255"],
    ["--signal=FOO true", "srun: error: Invalid --signal specification\n255"],
    ["--signal=B:USR1 true", "srun: error: Invalid --signal specification\n255"],
    ["-t x --bogus true", "srun: error: Invalid --time specification\n255"],
    ["--wrap=x true", "srun: unrecognized option '--wrap=x'\nTry \"srun --help\" for more information\n255"],
    ["-F nosuch true", "srun: error: Invalid --nodefile specification\n255"],
  ])("srun %s", (words, expected) => expect(failure(() => srun(words))).toBe(expected));

  test("SLURM_EXIT_ERROR replaces 1, not 255", () => {
    expect(failure(() => srun("-n x true", { SLURM_EXIT_ERROR: "7" }))).toEndWith("\n7");
    expect(failure(() => srun("-t x true", { SLURM_EXIT_ERROR: "7" }))).toEndWith("\n255");
  });
});

describe("parseSrun", () => {
  test("options end where the command begins", () => {
    const line = srun("-n2 -N1-2 --mem=1G -t 5 -J nm -l echo -n 3");
    expect(line.step.command).toEqual(["echo", "-n", "3"]);
    expect(line.job).toMatchObject({ tasks: 2, nodesMin: 1, nodesMax: 2, memPerNodeMib: 1024, timeLimitMinutes: 5, name: "nm" });
    expect(line.resources).toMatchObject({ tasks: 2, nodesMin: 1, nodesMax: 2, memPerNodeMib: 1024 });
    expect([line.step.label, line.stepName, [...line.given]]).toEqual([
      true,
      "nm",
      ["ntasks", "nodes", "mem", "time", "job-name", "label"],
    ]);
  });

  test("a job's variables are defaults, and are not said", () => {
    const env = {
      SLURM_JOB_ID: "12",
      SLURM_NTASKS: "4",
      SLURM_NPROCS: "9",
      SLURM_JOB_NUM_NODES: "2",
      SLURM_CPUS_PER_TASK: "3",
      SLURM_JOB_NAME: "outer",
      SLURM_MEM_PER_NODE: "100",
      SLURM_DISTRIBUTION: "plane=2",
      SLURM_LABELIO: "",
    };
    const line = srun("/bin/echo", env);
    expect(line.job).toMatchObject({
      tasks: 4,
      nodesMin: 2,
      nodesMax: 2,
      cpusPerTask: 3,
      memPerNodeMib: 100,
      distribution: "plane",
      planeSize: 2,
      name: "outer",
    });
    expect([line.step.jobId, line.step.label, line.stepName, line.given.size]).toEqual([12, true, "echo", 0]);
    expect(srun("-n8 --mem-per-cpu=5 true", { ...env, SRUN_CPUS_PER_TASK: "2" }).job).toMatchObject({
      tasks: 8,
      memPerNodeMib: null,
      memPerCpuMib: 5,
      cpusPerTask: 2,
    });
  });

  test("nodes give way to fewer tasks", () => {
    const line = srun("-n1 true", { SLURM_JOB_NUM_NODES: "2" });
    expect([line.resources.nodesMin, line.warnings]).toEqual([1, ["srun: Warning: can't run 1 processes on 2 nodes, setting nnodes to 1"]]);
  });

  test.each([
    ["", true],
    ["yes", true],
    ["2", true],
    ["0", false],
    ["no", false],
    ["x", false],
  ])("SLURM_LABELIO=%p", (value, expected) => expect(srun("true", { SLURM_LABELIO: value }).step.label).toBe(expected));

  test("optional values are only attached", () => {
    expect(srun("-I5 -K --nice --bcast=/tmp/x -k --overlap true")).toMatchObject({
      job: { immediateSeconds: 5, nice: 100, noKill: true },
      step: { killOnBadExit: true, bcast: "/tmp/x", overlap: true },
    });
    expect(srun("-I 5")).toMatchObject({ job: { immediateSeconds: 1 }, step: { command: ["5"] } });
    expect(srun("-k --no-kill=off -K0 true")).toMatchObject({ job: { noKill: false }, step: { killOnBadExit: false } });
  });

  test.each([
    ["bundle", "/w/bundle"],
    ["../b/./c", "/b/c"],
    ["/b", "/b"],
    ["docker://alpine", "docker://alpine"],
  ])("--container %s", (text, path) => expect(srun(`--container ${text} true`).job.container).toBe(path));

  test("an empty --container is a container, an empty variable is none", () => {
    expect(parseSrun(["--container", "", "true"], {}, context).job.container).toBe("");
    expect(srun("true", { SRUN_CONTAINER: "" }).job.container).toBeNull();
    expect(srun("true", { SRUN_CONTAINER: "b" }).job.container).toBe("/w/b");
  });

  test("other variables of the room", () => {
    const line = srun("-D sub -w hosts/../hosts --exclusive true", {
      SLURM_EXPORT_ENV: "NONE",
      SRUN_EXPORT_ENV: "ALL",
      SLURM_STDOUTMODE: "none",
      SLURM_DEBUG: "2",
      SLURM_EXCLUSIVE: "no",
    });
    expect(line.step).toMatchObject({ chdir: "/w/sub", export: { kind: "all" }, output: "none", exact: false });
    // In a job it says that other steps must not share; a job of its own gets whole nodes.
    expect(srun("--exclusive true", { SLURM_JOB_ID: "7" }).step.exact).toBe(true);
    expect(line.job).toMatchObject({ nodeList: ["n1", "n2"], exclusive: true });
    expect(line.verbose).toBe(2);
    expect(srun("true", { SLURM_EXCLUSIVE: "no" }).job.exclusive).toBe(false);
    expect(srun("true", { SLURM_HOSTFILE: "hosts" }).job).toMatchObject({ nodeList: ["n1", "n2"], distribution: "arbitrary" });
  });

  test.each([
    ["-h --bogus", "help"],
    ["--usage", "usage"],
    ["-V", "version"],
    ["--gres=help", "gresHelp"],
    ["--mpi=list", "mpiList"],
  ])("srun %s", (words, action) => expect(srun(words).action as string).toBe(action));

  test("options without effect are kept by name", () => {
    expect(srun("-B 1:2 --x11 --hint=compute_bound --cpu-bind=q true")).toMatchObject({
      job: { unused: { "extra-node-info": "1:2", x11: "", hint: "compute_bound" } },
      step: { cpuBind: "q" },
    });
  });

  test("heterogeneous jobs are refused", () => {
    expect(failure(() => srun("-n1 : -n2 true"))).toBe("srun: error: Heterogeneous jobs are not supported\n1");
    expect(failure(() => srun("-n1 server : -n2 client"))).toBe("srun: error: Heterogeneous jobs are not supported\n1");
  });
});

describe("sbatch", () => {
  test.each([
    ["-N 3-2 --wrap true", "sbatch: error: Maximum node count 2 is less than minimum node count 3\n255"],
    ["--mail-type=BOGUS --wrap true", "sbatch: error: Invalid --mail-type specification\n255"],
    ["--uid=0 --wrap true", "sbatch: error: --uid only permitted by root user\n255"],
    ["--wrap true extra", "sbatch: error: Script arguments not permitted with --wrap option\n1"],
    ["--bogus --wrap true", "sbatch: unrecognized option '--bogus'\nTry \"sbatch --help\" for more information\n255"],
  ])("sbatch %s", (words, expected) => expect(failure(() => sbatch(words))).toBe(expected));

  test("controller's refusals pass", () => {
    const { job, batch } = sbatch(["-N", "0", "--array=x", "-d", "bogus:1", "--nice=-10", "--wrap", ""]);
    expect([job.nodesMin, batch.array, job.dependency, job.nice, job.name]).toEqual([0, "x", "bogus:1", -10, "wrap"]);
  });

  const script =
    '#!/bin/bash\n#SBATCH -J script_name -t 3\n#SBATCH --comment="quoted value"   # trailing comment\n' +
    "##SBATCH -J commented_out\n# SBATCH -J also_not\n\n\t#SBATCH -J indented\n#SBATCH --mem=11M\necho\n#SBATCH -J too_late\n";

  test("command line > environment > #SBATCH", () => {
    expect(sbatch("prec.sh a", { script })).toMatchObject({
      job: { name: "script_name", timeLimitMinutes: 3, comment: "quoted value", memPerNodeMib: 11 },
      batch: { args: ["a"] },
    });
    const env = { SBATCH_JOB_NAME: "env_name", SBATCH_TIMELIMIT: "4" };
    expect(sbatch("prec.sh", { script, env }).job).toMatchObject({ name: "env_name", timeLimitMinutes: 4 });
    expect(sbatch("-J cli_name prec.sh", { script, env: { SBATCH_JOB_NAME: "env_name" } }).job).toMatchObject({
      name: "cli_name",
      timeLimitMinutes: 3,
    });
    expect(sbatch("--mem-per-cpu=5 prec.sh", { script }).job).toMatchObject({ memPerNodeMib: null, memPerCpuMib: 5 });
    expect(sbatch("dir/prec.sh").job.name).toBe("prec.sh");
    expect(sbatch("").job.name).toBe("sbatch");
  });

  test.each([
    ["#SBATCH --bogus", "sbatch: unrecognized option '--bogus'\nTry \"sbatch --help\" for more information\n255"],
    ["#SBATCH -t 1 stray", "sbatch: error: Invalid directive found in batch script: stray\n255"],
    ["#SBATCH -n1\n#SBATCH hetjob\n#SBATCH -n2", "sbatch: error: Heterogeneous jobs are not supported\n1"],
  ])("%p", (line, expected) => {
    expect(failure(() => sbatch("x.sh", { script: `#!/bin/sh\n${line}\n` }))).toBe(expected);
  });

  test("#SLURM counts, with a warning", () => {
    const { job, warnings } = sbatch("old.sh", { script: "#!/bin/bash\n#SLURM -J old\ntrue\n" });
    expect([job.name, ...warnings]).toEqual([
      "old",
      "sbatch: error: Change from #SLURM to #SBATCH in your script and verify the options are valid in sbatch",
    ]);
  });

  test("words of directives are split as by a shell", () => {
    const { argv } = parseSbatchDirectives("#SBATCH -J 'a b'c \"x\\\"y\" d\\ e # no\n#SBATCH\t--x=a#b ''\n#SBATCHX -n1\n");
    expect(argv).toEqual(["-J", "a bc", 'x"y', "d e", "--x=a#b", ""]);
  });

  test("what tools submit", () => {
    const request = sbatch(["--parsable", "--job-name", "u", "--output", "/w/%j.log", "--export=ALL", "-t", "5", "--wrap=x y"], {
      env: { SBATCH_EXPORT: "NONE", SBATCH_WAIT: "", SBATCH_NO_REQUEUE: "1" },
    });
    expect(request).toMatchObject({
      parsable: true,
      wait: true,
      batch: { output: "/w/%j.log", export: { kind: "all" } },
      job: { name: "u", requeue: false },
    });
    expect(sbatch("-J --wrap true").job.name).toBe("--wrap");
  });

  test.each([
    ["", "Batch script is empty!"],
    ["echo hi\n", "This does not look like a batch script.  The first"],
    ["#!/bin/sh\r\n", "Batch script contains DOS line breaks (\\r\\n)"],
  ])("script %p is refused", (text, first) => {
    expect(failure(() => checkBatchScript(text, {}))).toStartWith(`sbatch: error: ${first}`);
  });

  test("--wrap makes a script", () => {
    const text = wrapScript("exec true");
    expect(text).toBe("#!/bin/sh\n# This script was created by sbatch --wrap.\n\nexec true\n");
    expect(failure(() => checkBatchScript(text, {}))).toBe("no error");
  });
});

describe("parseSalloc", () => {
  test("command, shell and signal", () => {
    expect(salloc("-n1 -K bash -c x")).toMatchObject({
      command: ["bash", "-c", "x"],
      killCommand: 15,
      job: { name: "interactive" },
    });
    expect(salloc("--no-shell -J j -KINT")).toMatchObject({ noShell: true, killCommand: 2, command: [], job: { name: "j" } });
    expect(salloc("", { SALLOC_NO_BELL: "", SALLOC_IMMEDIATE: "3" })).toMatchObject({ bell: "never", job: { immediateSeconds: 3 } });
    expect(failure(() => salloc("-t x true"))).toBe("salloc: error: Invalid --time specification\n255");
  });
});
