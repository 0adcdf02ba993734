// Slurm's commands, and podman, inside of a container: with the sockets and the executable mounted they talk to the engines outside (docs/scrun.md,
// "Commands inside of a container").
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { berthPath, until } from "../e2e/site.ts";
import { canRunPodman, IMAGE, PodmanSite } from "./podman.ts";
import { within } from "./user-site.ts";

const CONF = "NodeName=n1 CPUs=8 RealMemory=4000\nPartitionName=debug Nodes=ALL Default=YES\nKillWait=2\n";
/** The test's image has no C library. */
const LIBRARIES = ["/lib64", `/lib/${process.arch === "x64" ? "x86_64" : "aarch64"}-linux-gnu`].filter((path) => existsSync(path));

describe.skipIf(!canRunPodman)("commands inside of a container of podman", () => {
  let site: PodmanSite;
  let bin: string;
  let runtimeDir: string;
  beforeAll(async () => {
    site = await PodmanSite.open({ conf: CONF });
    runtimeDir = join(site.dir, "run");
    bin = site.path("bin");
    mkdirSync(bin);
    copyFileSync(berthPath(), join(bin, "berth"));
    await site.expectSuccess([join(bin, "berth"), "link", "--all", bin]);
  }, 120_000);
  afterAll(() => site?.[Symbol.asyncDispose](), 60_000);

  const inside = (script: string, options: readonly string[] = []) => {
    const dirs = [runtimeDir, site.workDir].flatMap((dir) => ["-v", `${dir}:${dir}`]);
    const tools = [bin, ...LIBRARIES].flatMap((dir) => ["-v", `${dir}:${dir}:ro`]);
    const variables = ["-e", `XDG_RUNTIME_DIR=${runtimeDir}`, "-e", `PATH=${bin}:/bin`];
    return site.podman(["run", "--rm", ...dirs, ...tools, ...variables, "-w", site.workDir, ...options, IMAGE, "sh", "-c", script]);
  };

  test.each([
    ["root of the container, who is the user", []],
    ["the user by his own number", ["--userns=keep-id"]],
  ])("the job sees itself, as %s", async (_who, options) => {
    const { status, stdout, stderr } = await inside('echo $SLURM_JOB_ID; squeue -h -o "%A %u %j"', ["--name", "looks", ...options]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const [jobId, ...jobs] = stdout.trim().split("\n");
    expect(jobs).toEqual([`${String(jobId)} ${site.userName} looks`]);
  });

  test("srun makes steps of the container's job, on its streams, with their exit status", async () => {
    const script = "echo text | srun --overlap cat; srun --overlap sh -c 'exit 7'";
    expect(await inside(script, ["--name", "steps"])).toMatchObject({ status: 7, stdout: "text\n" });
    const { stdout } = await site.run(["sacct", "-nP", "--name", "steps", "-o", "jobid,jobname,exitcode"]);
    expect(stdout.replaceAll(/^\d+/gm, "N")).toBe("N|steps|7:0\nN.0|steps|7:0\nN.1|cat|0:0\nN.2|sh|7:0\n");
  });

  test("sbatch's jobs are the host's; scancel ends the container itself", async () => {
    const script = "sbatch -W -o out.txt --wrap 'ls -d /usr/share/doc; exit 3'; echo $?; scancel $SLURM_JOB_ID; sleep 100";
    const { stdout, stderr } = await inside(script);
    expect(stdout).toMatch(/^Submitted batch job \d+\n3\n$/);
    expect(stderr).toContain("CANCELLED AT");
    expect(readFileSync(site.path("out.txt"), "utf8")).toBe("/usr/share/doc\n"); // the image has no such directory
  });

  test("without the sockets they do not reach the engine outside", async () => {
    const tools = [bin, ...LIBRARIES].flatMap((dir) => ["-v", `${dir}:${dir}:ro`]);
    const alone = await site.podman(["run", "--rm", ...tools, IMAGE, "sh", "-c", `${bin}/squeue -h`]);
    expect(alone.stdout).toBe("");
  });

  test("podman inside, at its service outside: its containers are jobs, too", async () => {
    const socket = join(runtimeDir, "p.sock");
    const service = site.startPodman(["system", "service", "-t", "0", `unix://${socket}`]);
    try {
      await until("podman's service", () => existsSync(socket));
      const remote = `podman --remote --url unix://${socket}`;
      const script = `${remote} run --rm --name nested localhost/${IMAGE} sh -c 'echo job $SLURM_JOB_ID; exit 9'`;
      const { status, stdout } = await inside(script, ["-v", "/usr/bin/podman:/bin/podman:ro"]);
      expect(status).toBe(9);
      const jobs = await site.run(["sacct", "-X", "-nP", "--name", "nested", "-o", "jobid,exitcode"]);
      expect(jobs.stdout).toBe(`${stdout.trim().replace("job ", "")}|9:0\n`);
    } finally {
      service.kill("SIGTERM");
      await within(service, 20_000);
    }
  });
});
