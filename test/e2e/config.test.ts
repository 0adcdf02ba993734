// Keys of berth.conf that nobody knows, and which berth.conf counts.
import { expect, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Site } from "./site.ts";

test("an unknown key is warned of by the command that starts the controller, and by berth daemon; jobs run", async () => {
  await using site = new Site({ conf: "NodeName=n1 CPUs=2 Colour=red\nKillWait=2\n\nMaxCores=4\n" });
  const file = join(site.dir, "config/berth/berth.conf");
  const warned = new RegExp(
    `^berth: warning: ${file}:1: unknown key "colour" changes nothing: .*Features.*\nberth: warning: ${file}:4: unknown key "maxcores" .*KillWait.*\n$`,
  );
  expect(await site.run(["srun", "echo", "ran"])).toEqual({ status: 0, stdout: "ran\n", stderr: expect.stringMatching(warned) });
  expect(await site.run(["srun", "echo", "again"])).toEqual({ status: 0, stdout: "again\n", stderr: "" });
  expect((await site.run(["berth", "daemon", "status"])).stdout).toContain(`${file}:4: unknown key "maxcores"`);
  expect((await site.run(["berth", "daemon", "restart"])).stderr).toMatch(warned);
});

test("one that is a letter off is an error, with its place", async () => {
  await using site = new Site({ conf: "NodeName=n1 CPUs=2\nKillWeit=2\n" });
  const { status, stderr } = await site.run(["srun", "true"]);
  expect(status).toBe(1);
  expect(stderr).toContain(`${join(site.dir, "config/berth/berth.conf")}:2: unknown key "killweit": KillWait is one`);
});

test("berth info: Engine= and SlurmRest= are of the one berth.conf that counts", async () => {
  await using site = new Site();
  const named = join(site.dir, "named/berth.conf");
  mkdirSync(join(site.dir, "named"));
  writeFileSync(named, "KillWait=2 Engine=slurm\nSlurmRest=unix:/no/such.socket\n");
  const facts = async (env: Record<string, string>) =>
    JSON.parse((await site.run(["berth", "info", "--json"], { env: { BERTH_ENGINE: "", ...env } })).stdout) as Record<string, string>;
  expect(await facts({ BERTH_CONF: named })).toMatchObject({
    reason: `Engine=slurm in ${named}`,
    through: `slurmrestd, SlurmRest=unix:/no/such.socket in ${named}`,
  });
  writeFileSync(join(site.dir, "config/berth/berth.conf"), "Engine=embedded\n");
  expect((await facts({}))["reason"]).toBe(`Engine=embedded in ${join(site.dir, "config/berth/berth.conf")}`);
  rmSync(named);
  const refused = await site.run(["squeue"], { env: { BERTH_ENGINE: "", BERTH_CONF: "named/berth.conf" } });
  expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('BERTH_CONF is "named/berth.conf", which cannot be used') });
});
