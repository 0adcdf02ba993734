// scontrol show config has every setting of Slurm 22.05, in its order and form.
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Site } from "../e2e/site.ts";

const [own = "", ofMpi = ""] = readFileSync(join(import.meta.dir, "slurm-22.05-settings.txt"), "utf8")
  .replace(/^#.*\n/, "")
  .trim()
  .split("\n\n");

test("scontrol show config", async () => {
  await using site = new Site({
    conf: "ClusterName=tiny\nKillWait=2\nNodeName=n[1-2] CPUs=2\nPartitionName=debug Nodes=ALL Default=YES\n",
  });
  const id = await site.sbatch("#!/bin/sh\ntrue\n", "-H");
  const { stdout, status } = await site.run(["scontrol", "show", "config"]);
  expect(status).toBe(0);
  const [settings = "", plugins = "", ping = ""] = stdout.split("\n\n");
  const [title, ...lines] = settings.split("\n");
  expect(title).toMatch(/^Configuration data as of \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
  for (const line of lines) expect(line).toMatch(/^(?=.{23} = |\S{24,} = )\S+ *= /);
  const names = (texts: readonly string[]) => texts.map((line) => line.split(/ += /, 1)[0] ?? "").join("\n");
  expect(names(lines)).toBe(own);
  const [pluginTitle, ...pluginLines] = plugins.split("\n");
  expect(pluginTitle).toBe("MPI Plugins Configuration:");
  expect(names(pluginLines)).toBe(ofMpi);
  expect(ping).toMatch(/^Slurmctld\(primary\) at \S+ is UP\n$/);
  const values = new Map(lines.map((line) => line.split(/ += ?(.*)/s) as [string, string]));
  expect(
    Object.fromEntries(
      ["ClusterName", "KillWait", "MaxNodeCount", "NEXT_JOB_ID", "SlurmUser", "TaskProlog"].map((name) => [name, values.get(name)]),
    ),
  ).toEqual({
    ClusterName: "tiny",
    KillWait: "2 sec",
    MaxNodeCount: "2",
    NEXT_JOB_ID: String(id + 1),
    SlurmUser: expect.stringMatching(/^\S+\(\d+\)$/) as string,
    TaskProlog: "(null)",
  });
  expect(values.get("BOOT_TIME")).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
});
