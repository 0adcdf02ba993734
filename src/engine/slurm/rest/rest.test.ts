import { describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findRestAddress } from "./access.ts";
import { readToken, userOfToken } from "./token.ts";
import { newestVersion } from "./connection.ts";
import { jobRecord, nodeRecord } from "./records.ts";
import { exitOf, numberOf } from "./values.ts";

const CLAIMS = Buffer.from('{"exp":1,"sun":"al"}').toString("base64url");
const TOKEN = `aGVhZA.${CLAIMS}.c2lnbg`;

describe("the way to slurmrestd", () => {
  test("an address, and what is none", () => {
    expect(findRestAddress({ BERTH_SLURM_REST: "https://slurm:6820/" })?.url).toBe("https://slurm:6820");
    expect(findRestAddress({ BERTH_SLURM_REST: "unix:/run/s" })?.url).toBe("unix:/run/s");
    expect(findRestAddress({ BERTH_SLURM_REST: "" })).toBeUndefined();
    for (const wrong of ["slurm:6820", "unix:run/s", "https://me:secret@slurm", "ftp://slurm"])
      expect(() => findRestAddress({ BERTH_SLURM_REST: wrong })).toThrow("not one");
  });

  test("a token from the environment or a file that is the user's alone; never in a message", () => {
    using dir = tempDir();
    const file = join(dir.path, "token");
    writeFileSync(file, `SLURM_JWT=${TOKEN}\n`);
    chmodSync(file, 0o600);
    expect(readToken({ BERTH_SLURM_TOKEN_FILE: file })).toBe(TOKEN);
    expect(readToken({ SLURM_JWT: TOKEN })).toBe(TOKEN);
    expect(userOfToken(TOKEN)).toBe("al");
    expect(userOfToken("a.b.c")).toBeUndefined();
    chmodSync(file, 0o640);
    expect(() => readToken({ BERTH_SLURM_TOKEN_FILE: file })).toThrow("Others may read");
    expect(() => readToken({ SLURM_JWT: "secret word" })).toThrow(/^What SLURM_JWT holds is not a token$/);
  });

  test("the newest version of slurmctld's paths; slurmdbd's do not count", () => {
    expect(newestVersion('{"\\/slurm\\/v0.0.36\\/ping":{},"\\/slurm\\/v0.0.38\\/jobs":{},"\\/slurmdb\\/v0.0.40\\/jobs":{}}')).toBe(38);
    expect(newestVersion('{"/slurm/v0.0.42/ping/":{}}')).toBe(42);
    expect(newestVersion("{}")).toBeUndefined();
  });

  test("numbers, exit statuses and states of both forms", () => {
    expect([numberOf(3), numberOf(-1), numberOf(null), numberOf({ set: true, infinite: false, number: 3 })]).toEqual([3, null, null, 3]);
    expect([numberOf({ set: true, infinite: true, number: 0 }), numberOf({ set: false, infinite: false, number: 7 })]).toEqual([
      null,
      null,
    ]);
    expect(exitOf(0x300)).toEqual({ code: 3, signal: 0 });
    expect(
      exitOf({ return_code: { set: true, infinite: false, number: 3 }, signal: { id: { set: true, infinite: false, number: 0 } } }),
    ).toEqual({
      code: 3,
      signal: 0,
    });
    expect(jobRecord({ job_id: 5, job_state: "RUNNING", comment: 'berth:{"container":"/b"}', nodes: "c[1-2]" })).toMatchObject({
      state: "RUNNING",
      container: "/b",
      comment: null,
      nodes: ["c1", "c2"],
    });
    expect(jobRecord({ job_id: 5, job_state: ["RUNNING", "COMPLETING"] })).toMatchObject({ state: "RUNNING", flags: ["COMPLETING"] });
    expect(nodeRecord({ name: "c1", state: ["IDLE", "DRAIN"] }).state).toBe("DRAIN");
    expect(nodeRecord({ name: "c1", state: "idle", state_flags: ["DRAIN"] }).state).toBe("DRAIN");
  });
});

function tempDir(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "berth-rest-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
