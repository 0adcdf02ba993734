import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { identify } from "#platform/process-tree.ts";
import { sweepOrphans } from "./orphans.ts";
import { ContainerPlace, type ContainerState } from "./place.ts";

const DEAD = { pid: 2 ** 31 - 1, startTicks: 1 };
const own = { process: DEAD, mountNamespace: "mnt:[1]" };

describe("what an anchor's end sweeps", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "berth-orphans-"));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  /** One that nobody wants any more, but for what is changed. */
  function make(change: { readonly state?: Partial<ContainerState>; readonly before?: (place: ContainerPlace) => void }): string {
    const place = new ContainerPlace(root, "c");
    mkdirSync(place.dir);
    writeFileSync(join(place.dir, "over"), "");
    const paths = { bundle: join(root, "no-bundle"), rootfs: join(root, "no-bundle/rootfs") };
    const told = {
      id: "c",
      ociVersion: "1.0.2",
      annotations: {},
      createdAt: "",
      runtime: "/runc",
      runtimeOptions: [],
      jobId: 1,
      startWait: null,
    };
    place.write({ ...told, ...paths, anchor: DEAD, monitor: own, ...change.state });
    change.before?.(place);
    return place.dir;
  }
  const self = identify(process.pid) ?? DEAD;

  test("a container that has ended, whose engine has forgotten it", () => {
    const dir = make({});
    sweepOrphans(root, own);
    expect(existsSync(dir)).toBe(false);
  });

  const kept: readonly (readonly [title: string, change: Parameters<typeof make>[0]])[] = [
    ["its anchor lives", { state: { anchor: self } }],
    ["its engine's monitor lives", { state: { monitor: { ...own, process: self } } }],
    ["no engine has asked for it", { state: { monitor: null } }],
    ["its bundle is there", { state: { bundle: tmpdir() } }],
    ["its bundle is to be looked for elsewhere", { state: { monitor: { ...own, mountNamespace: "mnt:[2]" } } }],
    ["its anchor was killed", { before: ({ dir }) => rmSync(join(dir, "over")) }],
    ["the runtime has not put it away", { before: ({ runtimeRoot }) => mkdirSync(join(runtimeRoot, "c"), { recursive: true }) }],
    ["it is being created", { before: ({ stateFile }) => rmSync(stateFile) }],
  ];
  test.each(kept)("not when %s", (_title, change) => {
    const dir = make(change);
    sweepOrphans(root, own);
    expect(existsSync(dir)).toBe(true);
  });
});
