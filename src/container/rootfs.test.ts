import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { printJson } from "./json.ts";
import { MountPlan } from "./mounts.ts";
import { findInRootfs, resolveCommand } from "./rootfs.ts";

const rootfs = mkdtempSync(join(tmpdir(), "berth-rootfs-"));
afterAll(() => rmSync(rootfs, { recursive: true, force: true }));
for (const dir of ["usr/bin", "opt/tool", "var/tmp", "etc"]) mkdirSync(join(rootfs, dir), { recursive: true });
symlinkSync("usr/bin", join(rootfs, "bin"));
symlinkSync("/var/tmp", join(rootfs, "tmp"));
symlinkSync("../../../../etc/passwd", join(rootfs, "etc/escape"));
symlinkSync("/etc/hostname", join(rootfs, "etc/absolute"));
symlinkSync("loop", join(rootfs, "loop"));
symlinkSync("..", join(rootfs, "etc/up"));
for (const file of ["usr/bin/sh", "opt/tool/run", "usr/bin/data"]) writeFileSync(join(rootfs, file), "");
for (const file of ["usr/bin/sh", "opt/tool/run"]) chmodSync(join(rootfs, file), 0o755);
writeFileSync(join(rootfs, "var/tmp/kept"), "");

describe("findInRootfs", () => {
  test.each([
    ["/bin/sh", "usr/bin/sh"],
    ["//usr/./bin/../bin/sh", "usr/bin/sh"],
    ["/../../bin/sh", "usr/bin/sh"],
    ["/tmp/kept", "var/tmp/kept"],
    ["/etc/up/bin/sh", "usr/bin/sh"],
    ["/", ""],
    ["/etc/up", ""],
  ])("%s is %s", (inside, at) =>
    expect(findInRootfs(rootfs, inside)).toMatchObject({
      kind: "found",
      hostPath: at === "" ? rootfs.replace(/\/$/, "") : join(rootfs, at),
    }),
  );
  test.each(["/etc/escape", "/etc/absolute"])("%s does not lead out of the image", (inside) => {
    expect(findInRootfs(rootfs, inside)).toMatchObject({ kind: "missing", parentInside: "/etc" });
  });
  test.each(["/loop", "/bin/sh/x", "/bin/sh/../sh", "/a\0b"])("%p is unknown", (inside) =>
    expect(findInRootfs(rootfs, inside).kind).toBe("unknown"),
  );
  test("a missing path has its deepest directory", () => {
    expect(findInRootfs(rootfs, "/tmp/slurm/x")).toEqual({ kind: "missing", parent: join(rootfs, "var/tmp"), parentInside: "/var/tmp" });
  });
});

describe("resolveCommand", () => {
  const env = { PATH: "/none:/opt/tool:/bin" };
  const visible = () => false;
  test.each([
    ["sh", "/bin/sh"],
    ["run", "/opt/tool/run"],
    ["data", "data"],
    ["nosuch", "nosuch"],
    ["/x/y", "/x/y"],
    ["./sh", "./sh"],
    ["bin/sh", "bin/sh"],
    ["", ""],
  ])("%s is %s", (word, path) => expect(resolveCommand(rootfs, word, env, visible)).toBe(path));
  test("nothing is said about what a mount hides", () =>
    expect(resolveCommand(rootfs, "sh", env, (path) => path.startsWith("/opt"))).toBe("sh"));
  test("no PATH, no answer", () => expect(resolveCommand(rootfs, "sh", {}, visible)).toBe("sh"));
});

describe("MountPlan", () => {
  const destinations = (plan: MountPlan) =>
    JSON.parse(printJson(plan.added)).map((mount: { destination: string; type: string }) => `${mount.type} ${mount.destination}`);
  test("a mount point that the image has needs nothing else", () => {
    const plan = new MountPlan(rootfs, []);
    plan.add({ destination: "/opt/tool", source: "/s", options: ["bind"] });
    expect(destinations(plan)).toEqual(["none /opt/tool"]);
  });
  test("in an empty directory it is made on a tmpfs over it, which two of them share", () => {
    const empty = mkdtempSync(join(tmpdir(), "berth-rootfs-"));
    mkdirSync(join(empty, "tmp"));
    const plan = new MountPlan(empty, []);
    plan.add({ destination: "/tmp/slurm/a", source: "/s", options: ["bind"] });
    plan.add({ destination: "/tmp/slurm/b", source: "/s", options: ["bind"] });
    expect(destinations(plan)).toEqual(["tmpfs /tmp", "none /tmp/slurm/a", "none /tmp/slurm/b"]);
    rmSync(empty, { recursive: true });
  });
  test("in one that the user may write, it is left to the runtime", () => {
    const plan = new MountPlan(rootfs, [], join(rootfs, "never"));
    plan.add({ destination: "/var/tmp/slurm/b", source: "/s", options: ["bind"] });
    expect(destinations(plan)).toEqual(["none /var/tmp/slurm/b"]);
  });
  test("below a mount of config.json the runtime makes it", () => {
    const plan = new MountPlan(rootfs, [new Map([["destination", "/var/"]])]);
    plan.add({ destination: "/var/x/y", source: "/s", options: ["bind"] });
    expect(destinations(plan)).toEqual(["none /var/x/y"]);
    expect(plan.canPlace("/srv/x")).toBe(false);
  });
});
