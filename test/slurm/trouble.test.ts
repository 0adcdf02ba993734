// A site that does not work: what the user hears, and what to do.
import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { markedProcesses } from "#platform/marked-processes.ts";
import { BERTH, haveSlurm, SlurmSite } from "./site.ts";
import { rejectionOf } from "../rejection.ts";

const site = haveSlurm ? new SlurmSite({ nodes: 1, cpus: 2 }) : undefined;
afterAll(async () => {
  await site?.[Symbol.asyncDispose]();
}, 60_000);

describe.skipIf(site === undefined)("a site in trouble", () => {
  const on = site as SlurmSite;
  const kill = (name: string) => {
    const record = JSON.parse(readFileSync(join(on.runtime, "berth/slurm/cluster.json"), "utf8")) as {
      daemons: { name: string; pid: number }[];
    };
    const pid = record.daemons.find((daemon) => daemon.name === name)?.pid ?? 0;
    expect(pid).toBeGreaterThan(1);
    process.kill(pid, "SIGKILL");
  };

  /** What `berth doctor` says of one thing. */
  const diagnosis = async (name: string): Promise<unknown> => {
    const { diagnoses } = JSON.parse((await on.berth("doctor", "--json")).stdout) as { diagnoses: { name: string }[] };
    return diagnoses.find((found) => found.name === name);
  };

  test("berth info says which engine and why, and a job's reason in words", async () => {
    const ran = await on.berth("info", "--json");
    expect(JSON.parse(ran.stdout)).toMatchObject({ engine: "slurm", reason: "BERTH_ENGINE=slurm", cluster: "berth-private" });
    const { stdout } = await on.berth("sbatch", "--parsable", "-H", "--wrap", "true");
    expect((await on.berth("info", stdout.trim())).stdout).toContain("you hold it: scontrol release lets it go");
    const auto = await on.run([BERTH, "--engine", "auto", "info"]);
    expect(auto.stdout).toContain(`SLURM_CONF=${on.env["SLURM_CONF"]}`);
    expect(await diagnosis("slurm.conf")).toMatchObject({ state: "ok", found: `${on.env["SLURM_CONF"]} (SLURM_CONF)` });
    expect(await diagnosis("slurmctld")).toMatchObject({ state: "ok", found: expect.stringContaining("is UP") });
  }, 30_000);

  test("an engine that does not exist is named", async () => {
    const ran = await on.berth("--engine", "pbs", "squeue");
    expect(ran).toMatchObject({
      code: 1,
      stderr: 'squeue: error: There is no engine "pbs" (BERTH_ENGINE)\nsqueue: engines: embedded, slurm, auto\n',
    });
  }, 30_000);

  test("an option that this Slurm does not know", async () => {
    expect((await on.berth("srun", "--no-such-option", "true")).stderr).toContain("unrecognized option '--no-such-option'");
  }, 30_000);

  test("munge does not run", async () => {
    kill("munged");
    const ran = await on.berth("info");
    expect(ran.code).toBe(1);
    expect(ran.stdout).toContain("munge, which proves to Slurm who you are, does not run on this host");
    expect((await on.berth("cluster", "up", "--nodes", "1")).code).toBe(0); // which repairs it
  }, 90_000);

  test("the controller does not answer", async () => {
    kill("slurmctld");
    const ran = await on.berth("info");
    expect(ran.code).toBe(1);
    expect(ran.stdout).toContain("Unable to contact slurm controller");
    expect(ran.stdout).toContain("it may be restarting, so try again later");
    expect(await diagnosis("slurmctld")).toMatchObject({ state: "error", cure: expect.stringContaining("it may be restarting") });
    const engine = on.engine();
    expect(
      await rejectionOf(
        engine.jobs({ jobIds: null, userIds: null, states: null, names: null, partitions: null }, { signal: AbortSignal.timeout(30_000) }),
      ),
    ).toMatchObject({ code: "CONTROLLER_DOWN" });
    expect((await on.berth("cluster", "status")).stdout).toContain("Not running: slurmctld");
  }, 90_000);

  test("up repairs what is broken, and down leaves nothing", async () => {
    expect((await on.berth("cluster", "up", "--nodes", "1")).code).toBe(0);
    expect((await on.berth("cluster", "status")).code).toBe(0);
    const mark = (JSON.parse(readFileSync(join(on.runtime, "berth/slurm/cluster.json"), "utf8")) as { mark: string }).mark;
    await on.berth("sbatch", "--wrap", "sleep 1000", "-o", "/dev/null");
    expect((await on.berth("cluster", "down")).code).toBe(0);
    expect(markedProcesses("BERTH_CLUSTER", mark)).toEqual([]);
    expect(await on.berth("srun", "true")).toMatchObject({
      code: 1,
      stderr:
        `srun: error: SLURM_CONF names ${on.env["SLURM_CONF"]}, which is not there\n` +
        "srun: unset SLURM_CONF, or set it to a cluster's; a private cluster: berth cluster up\n",
    });
    expect((await on.berth("cluster", "status")).code).toBe(1);
  }, 90_000);
});
