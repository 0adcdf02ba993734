// What salloc says at its end, which depends on who ended the allocation, and not on who was faster.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Site } from "./site.ts";

let site: Site;
beforeAll(() => {
  site = new Site();
});
afterAll(() => site[Symbol.asyncDispose](), 60_000);

test("an allocation that is given back was not revoked; one that was taken away is not given back", async () => {
  for (let i = 0; i < 8; i++) {
    const given = await site.run(["salloc", "true"]);
    expect(given.stderr.replaceAll(/\d+/g, "N")).toBe("salloc: Granted job allocation N\nsalloc: Relinquishing job allocation N\n");
    const taken = await site.run(["salloc", "sh", "-c", "scancel $SLURM_JOB_ID"]);
    expect(taken.stderr.replaceAll(/\d+/g, "N")).toBe("salloc: Granted job allocation N\nsalloc: Job allocation N has been revoked.\n");
  }
});
