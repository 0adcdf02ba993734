// What Slurm's commands print, with containers in it; the records of steps are those of a user who has one.
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ContainerRecords } from "../accounting/container-records.ts";
import { ContainerLookup } from "./show-containers.ts";
import { showInJson } from "./show-in-json.ts";
import { showInScontrol } from "./show-in-scontrol.ts";
import { squeueFilter } from "./show-in-squeue.ts";

const dir = mkdtempSync(join(tmpdir(), "berth-show-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const env = { XDG_STATE_HOME: dir, HOME: dir, SLURM_CLUSTER_NAME: "Unit" };
const records = new ContainerRecords(env);
const digest = `sha256:${"cd".repeat(32)}`;
records.write("12", { container: "/own", id: "x", annotations: { "berth.image.digest": digest } });
records.write("12.0", { container: "/step", id: null, annotations: {} });
const lookup = new ContainerLookup(env);
const now = new Date(Date.now() - new Date().getTimezoneOffset() * 60_000).toISOString().slice(0, 19);

describe("scontrol", () => {
  const rows: readonly (readonly [name: string, text: string, shown: string])[] = [
    [
      "a request in the comment becomes Slurm's fields",
      `JobId=7 JobName=a\n   SubmitTime=${now}\n   Comment=berth:{"container":"/b c","id":"i"} \n   Power=\n\n`,
      `JobId=7 JobName=a\n   SubmitTime=${now}\n   Container=/b c ContainerID=i \n   Power=\n\n`,
    ],
    [
      "a record's container comes behind a comment of the user's own, with the digest",
      `JobId=12 SubmitTime=${now} Comment=mine  Power=\n`,
      `JobId=12 SubmitTime=${now} Comment=mine  Power= Container=/own ContainerID=x ImageDigest=${digest}\n`,
    ],
    [
      "a job of the same number from before has none of it",
      "JobId=12 SubmitTime=2999-01-01T00:00:00 Power=\n",
      "JobId=12 SubmitTime=2999-01-01T00:00:00 Power=\n",
    ],
    [
      "a step",
      `StepId=12.0 StartTime=${now}\n   Nodes=1\n\n`,
      `StepId=12.0 StartTime=${now}\n   Nodes=1\n   Container=/step ContainerID=(null)\n\n`,
    ],
    [
      "what the site's own support says stays",
      `JobId=12 SubmitTime=${now} Container=/site \n`,
      `JobId=12 SubmitTime=${now} Container=/site \n`,
    ],
    ["anything else stays", "No jobs in the system\n", "No jobs in the system\n"],
  ];
  test.each(rows)("%s", (_name, text, shown) => {
    expect(showInScontrol(text, lookup)).toBe(shown);
  });
});

describe("squeue -O", () => {
  test("columns that are counted are filled, at their width", () => {
    const filter = squeueFilter(["-h", "-O", "JobID:4,Container:6,Comment:5,State"], lookup);
    expect(filter?.argv[1]).toBe("--Format=JobID:4,JobID:6,JobID:5,State,JobID:24,SubmitTime:24,Comment:4500");
    const line = `${"12".padEnd(4)}${"12".padEnd(6)}${"12".padEnd(5)}${"RUNNING".padEnd(20)}${"12".padEnd(24)}${now.padEnd(24)}mine`;
    expect(filter?.show(line)).toBe(`12  /own  mine RUNNING             `);
  });
  test.each(["JobID", "Container:.30", "Container:x"])("%s is left to squeue", (format) => {
    expect(squeueFilter(["-O", format], lookup)).toBeUndefined();
  });
});

test("JSON of all versions: numbers plain or wrapped, steps by number or name", () => {
  const shown = (value: unknown) => JSON.parse(showInJson(JSON.stringify(value), lookup)) as { jobs: Record<string, unknown>[] };
  const old = shown({ jobs: [{ job_id: 12, comment: { job: "mine" }, steps: [{ step: { id: 0 } }] }] });
  expect(old.jobs[0]).toMatchObject({ container: "/own", container_id: "x", steps: [{ container: "/step" }] });
  const time = { set: true, infinite: false, number: Math.floor(Date.now() / 1000) };
  const [job] = shown({ jobs: [{ job_id: 9, submit_time: time, comment: 'berth:{"container":"/b"}' }] }).jobs;
  expect(job).toMatchObject({ container: "/b", comment: "" });
  const newer = shown({ jobs: [{ job_id: 12, submit_time: time, steps: [{ step: { id: "12.0" } }] }] });
  expect(newer.jobs[0]).toMatchObject({ steps: [{ container: "/step" }] });
  expect(showInJson("sacct: error\n", lookup)).toBe("sacct: error\n");
});
