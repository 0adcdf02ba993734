// Which container a job and each of its steps ran in, asked of Slurm's own commands through Berth: with slurmdbd and without.
import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { BERTH, canRunContainers, haveDatabase, haveSlurm, IMAGE_DIGEST, SlurmSite } from "./site.ts";

if (haveSlurm && !haveDatabase) console.log("sacct with slurmdbd: skipped; it wants slurmdbd, mariadb-server-core, mariadb-client-core");
const site =
  haveSlurm && canRunContainers ? new SlurmSite({ nodes: 1, cpus: 4, ...(haveDatabase ? { hasDatabase: true } : {}) }) : undefined;
afterAll(async () => {
  await site?.[Symbol.asyncDispose]();
}, 60_000);

describe.skipIf(site === undefined)("containers in accounting", () => {
  const on = site as SlurmSite;
  const jobs: Record<string, string> = {};
  const until = async (what: string, isSo: () => Promise<boolean>) => {
    for (const deadline = performance.now() + 60_000; !(await isSo()); await Bun.sleep(100))
      if (performance.now() > deadline) throw new Error(`never happened: ${what}`);
  };
  const ended = (id: string) => until(`end of ${id}`, async () => /JobState=(COMPLETED|FAILED)/.test(await on.show(id)));
  const lines = async (...words: readonly string[]) => (await on.berth(...words)).stdout.split("\n").filter((line) => line.trim() !== "");
  const column = (line: string | undefined, name: string) => new RegExp(`(?:^|\\s)${name}=(\\S+)`).exec(line ?? "")?.[1];

  test("jobs of srun, sbatch and salloc, with a comment of the user's own and without", async () => {
    const jobId = 'echo "job $SLURM_JOB_ID"';
    const idOf = (text: string) => /job (\d+)/.exec(text)?.[1] ?? "";
    const inside = ["--container", on.bundle, "--container-id", "cid"];
    jobs["srun"] = idOf((await on.berth("srun", ...inside, "sh", "-c", jobId)).stdout);
    jobs["said"] = idOf((await on.berth("srun", ...inside, "--comment", "my own | words", "sh", "-c", jobId)).stdout);
    jobs["step"] = idOf(
      (await on.berth("salloc", "-Q", "sh", "-c", `${jobId}; ${BERTH} srun --container ${on.bundle} true; srun true`)).stdout,
    );
    const submit = async (...words: readonly string[]) =>
      (await on.berth("sbatch", "--parsable", "-o", join(on.workDir, "%j.out"), "--container", on.bundle, ...words)).stdout.trim();
    jobs["batch"] = await submit("--comment=billed to us", "--wrap", "true");
    jobs["held"] = await submit("--comment=mine", "-H", "--wrap", "true");
    for (const id of Object.values(jobs)) expect(id).toMatch(/^\d+$/);
    for (const name of ["srun", "said", "step", "batch"]) await ended(jobs[name] ?? "");
  }, 90_000);

  test("scontrol shows container, id and the image's digest; the user's comment is as he gave it, also to Slurm's own", async () => {
    const show = async (name: string) => (await lines("scontrol", "-o", "show", "job", jobs[name] ?? ""))[0];
    for (const name of ["srun", "said", "batch", "held"]) expect([name, column(await show(name), "Container")]).toEqual([name, on.bundle]);
    expect(column(await show("said"), "ContainerID")).toBe("cid");
    expect(column(await show("batch"), "ImageDigest")).toBe(IMAGE_DIGEST);
    expect(await show("srun")).not.toContain(" Comment=berth:{");
    expect(await show("step")).not.toContain("Container=/");
    for (const text of [await show("said"), await on.show(jobs["said"] ?? "")]) expect(text).toMatch(/ Comment=my own \| words\s/);
    expect(await on.show(jobs["batch"] ?? "")).toMatch(/ Comment=billed to us\s/);
  }, 60_000);

  test("squeue -O Container, of jobs and of live steps", async () => {
    const [title, held, ...more] = await lines("squeue", "-O", `JobID:10,Container:${on.bundle.length + 2},ContainerID:12,Comment:8,State`);
    expect(title?.trim().split(/\s+/)).toEqual(["JOBID", "CONTAINER", "CONTAINERID", "COMMENT", "STATE"]);
    expect(held?.trim().split(/\s+/)).toEqual([jobs["held"], on.bundle, "(null)", "mine", "PENDING"] as string[]);
    expect(more).toEqual([]);
    const running = on.start([BERTH, "srun", "--container", on.bundle, "--container-id", "live", "sleep", "100"]);
    const steps = async () =>
      (await lines("squeue", "-h", "-s", "-O", `Container:${on.bundle.length + 2},ContainerID`)).map((line) => line.trim().split(/\s+/));
    await until("a live step with its container", async () => (await steps()).some(([container]) => container === on.bundle));
    expect(await steps()).toEqual([[on.bundle, "live"]]);
    const [step] = await lines("scontrol", "-o", "show", "step");
    expect([column(step, "Container"), column(step, "ContainerID"), column(step, "ImageDigest")]).toEqual([
      on.bundle,
      "live",
      IMAGE_DIGEST,
    ]);
    running.kill("SIGTERM");
    await running.exited;
  }, 60_000);

  test.skipIf(!haveDatabase)(
    "sacct of slurmdbd: jobs and steps, in columns, with separators, as JSON",
    async () => {
      const steps = async () => await lines("sacct", "-n", "-P", "-j", Object.values(jobs).join(","), "-o", "jobid,container,comment");
      const { srun, said, step, batch, held } = jobs;
      // A comment comes with the job's end.
      const isKnown = (rows: readonly string[]) => rows.length >= 10 && rows.some((row) => row.endsWith("|billed to us"));
      await until("slurmdbd has the steps, and the batch job's end", async () => isKnown(await steps()));
      const rows = await steps();
      for (const row of [`${srun}|B|`, `${srun}.0|B|`, `${said}|B|my own | words`, `${said}.0|B|`, `${step}||`, `${step}.0|B|`])
        expect(rows).toContain(row.replace("|B", `|${on.bundle}`));
      for (const row of [`${step}.1||`, `${batch}|B|billed to us`, `${batch}.batch|B|`, `${held}|B|`])
        expect(rows).toContain(row.replace("|B", `|${on.bundle}`));
      const [title, rule, first] = await lines("sacct", "-X", "-j", said ?? "", "-o", "jobid%6,container%12,comment%-9,state");
      expect(title).toBe(" JobID    Container Comment        State ");
      expect(rule).toBe("------ ------------ --------- ---------- ");
      expect(first).toBe(`${(said ?? "").padStart(6)} ${on.bundle.slice(0, 11)}+ my own |+  COMPLETED `);
      const told = JSON.parse((await on.berth("sacct", "--json", "-j", said ?? "")).stdout) as {
        jobs: { container: string; comment: { job: string }; steps: Record<string, unknown>[] }[];
      };
      expect(told.jobs[0]).toMatchObject({ container: on.bundle, comment: { job: "my own | words" } });
      expect(told.jobs[0]?.steps[0]).toMatchObject({ container: on.bundle, container_annotations: { "berth.image.digest": IMAGE_DIGEST } });
    },
    60_000,
  );

  test("a site without slurmdbd: sacct shows what the controller remembers", async () => {
    const conf = join(on.dir, "no-accounting.conf");
    const text = await Bun.file(on.env["SLURM_CONF"] ?? "").text();
    await Bun.write(conf, text.replace(/^AccountingStorage.*\n/gm, ""));
    const ran = await on.run([BERTH, "sacct", "-n", "-P", "-X", "-j", jobs["said"] ?? "", "-o", "jobid,container,comment,state"], {
      env: { SLURM_CONF: conf },
    });
    expect(ran.stdout).toBe(`${jobs["said"]}|${on.bundle}|my own | words|COMPLETED\n`);
  }, 60_000);
});
