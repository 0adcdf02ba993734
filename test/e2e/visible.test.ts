// Control characters in what others have named: raw in a pipe, as Slurm 22.05 prints them, and never on a terminal.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { havePeers } from "../peers.ts";
import { Site } from "./site.ts";

const NAME = "a\nb\x1b[31mred\x9bx";
const COMMENT = "c\x1b]0;title\x07\nJobId=999 JobName=forged";

let site: Site;
let jobId: string;
beforeAll(async () => {
  site = new Site();
  const { status, stdout, stderr } = await site.run([
    "sbatch",
    "--parsable",
    "-H",
    "-J",
    NAME,
    "--comment",
    COMMENT,
    "--wrap",
    "printf '\x1b[2J'",
  ]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  jobId = stdout.trim();
});
afterAll(() => site[Symbol.asyncDispose](), 60_000);

const commands = (): readonly (readonly [string, ...string[]])[] => [
  ["squeue", "-h", "-j", jobId, "-o", "%j|%k"],
  ["squeue", "-h", "-j", jobId, "-O", "name:60,comment:60"],
  ["sacct", "-n", "-P", "-j", jobId, "-o", "jobname,comment"],
  ["scontrol", "show", "job", jobId],
  ["scontrol", "-o", "show", "job", jobId],
];

test("in a pipe they are what they are", async () => {
  for (const command of commands()) {
    const { status, stdout } = await site.run(command);
    expect({ command, status, stdout }).toEqual({ command, status: 0, stdout: expect.stringContaining(NAME) });
    if (!command.includes("-P")) expect(stdout).toContain(COMMENT);
  }
  expect((await site.run(["scontrol", "write", "batch_script", jobId, "-"])).stdout).toContain("\x1b[2J");
});

test.skipIf(!havePeers("script"))("a terminal gets none, and a line end makes no row", async () => {
  const quoted = (words: readonly string[]) => words.map((word) => `'${word}'`).join(" ");
  const lists = [...commands(), ["scontrol", "write", "batch_script", jobId, "-"], ["squeue", "-j", jobId, "--json"]];
  for (const command of lists) {
    const { status, stdout } = await site.run(["/usr/bin/script", "-qec", quoted(command), "/dev/null"]);
    expect({ command, status, controls: stdout.match(/[^\P{Cc}\r\n\t]/gu) }).toEqual({ command, status: 0, controls: null });
    if (command[0] !== "scontrol" || command[1] !== "write") expect(stdout).toContain("red");
    expect(stdout.split(/\r?\n/).filter((line) => /^(b|JobId=999)/.test(line))).toEqual([]);
  }
});
