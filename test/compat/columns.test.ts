// Every column of squeue, sinfo, sacct and sstat as a real Slurm 22.05 prints its title: in full, padded, cut, at the left and
// at the right, with suffixes, by letter and by name; and what is said of columns that are none.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Site } from "../e2e/site.ts";

interface Recorded {
  readonly argv: readonly [string, ...string[]];
  readonly stdout: string[];
  readonly stderr: string[];
  status: number;
}

const CASES: Recorded[] = [];
for (const line of readFileSync(join(import.meta.dir, "slurm-22.05-columns.txt"), "utf8").split("\n")) {
  const text = line.slice(2);
  const current = CASES.at(-1);
  if (line.startsWith("$")) CASES.push({ argv: text.split("\t") as [string, ...string[]], stdout: [], stderr: [], status: 0 });
  else if (line.startsWith("|")) current?.stdout.push(text);
  else if (line.startsWith("!")) current?.stderr.push(text);
  else if (line.startsWith("=") && current !== undefined) current.status = Number(text);
}

let site: Site;
beforeAll(async () => {
  site = new Site({
    conf: "ClusterName=berth-private\nNodeName=c[1-2] CPUs=4 RealMemory=6026\nPartitionName=debug Nodes=c[1-2] Default=YES\n",
  });
  await site.run(["berth", "daemon", "start"]);
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
});

const linesOf = (text: string) => (text === "" ? [] : text.replace(/\n$/, "").split("\n"));

test("there is something to compare with", () => {
  expect(CASES.length).toBeGreaterThan(100);
  for (const command of ["squeue", "sinfo", "sacct", "sstat"]) expect(CASES.some(({ argv }) => argv[0] === command)).toBe(true);
});

test.each(CASES.map((recorded) => [recorded.argv.join(" ").slice(0, 70), recorded] as const))("%s", async (_name, recorded) => {
  const { argv, ...wanted } = recorded;
  const { stdout, stderr, status } = await site.run(["berth", ...argv]);
  const lines = linesOf(stdout);
  expect({ stdout: argv[0] === "sinfo" ? lines.slice(0, 1) : lines, stderr: linesOf(stderr), status }).toEqual(wanted);
});
