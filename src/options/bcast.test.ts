import { expect, test } from "bun:test";
import { bcastOf, bcastPath, excludedDirs, isSendLibs } from "./bcast.ts";

const step = { jobId: 7, stepKey: 1, node: "n1" };

test.each([
  ["/d/file", "/d/file"],
  ["/d/", "/d/slurm_bcast_7.1_n1"],
  ["", "/cwd/slurm_bcast_7.1_n1"],
  ["file", "/cwd/file"],
  ["/d/x.%n", "/d/x.%n"],
])("%p is copied to %s", (destination, path) => {
  const { destination: found } = bcastOf({ source: "/bin/x", destination, sendLibs: null, exclude: null, cwd: "/cwd" });
  expect(bcastPath(found, step)).toBe(path);
});

test("libraries: only when asked for, the system's only with an exclusion of one's own", () => {
  expect([null, "", "yes", "no", "0"].map(isSendLibs)).toEqual([false, true, true, false, false]);
  expect([null, "none", "/a,/b"].map(excludedDirs)).toEqual([["/lib", "/usr/lib", "/lib64", "/usr/lib64"], [], ["/a", "/b"]]);
});
