// An image whose files belong to several users, as podman and umoci leave them for a user with subordinate ids.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findRange } from "#container/subordinate-ids.ts";
import { userName } from "#platform/users.ts";
import { havePeers } from "../peers.ts";
import { Site } from "./site.ts";

setDefaultTimeout(60_000);
const uid = process.geteuid?.() ?? 0;
const hasRange = uid !== 0 && findRange("/etc/subuid", { name: userName(uid), uid }) !== undefined;

describe.skipIf(!hasRange || !havePeers("runc", "busybox", "newuidmap", "unshare"))("an image of several users", () => {
  test("its owners are seen inside, and a program may become one of them", async () => {
    await using site = new Site();
    const range = findRange("/etc/subuid", { name: userName(uid), uid });
    const dir = join(site.bundle, "rootfs/var");
    mkdirSync(dir);
    writeFileSync(join(dir, "mail"), "for user 8\n", { mode: 0o600 });
    writeFileSync(join(dir, "own"), "");
    // util-linux 2.38 wants the outer id first, later ones take inner:outer:count.
    const inNamespace = (command: string) =>
      [`${range?.start},1,1000`, `1:${range?.start}:1000`]
        .map((map) =>
          Bun.spawnSync(["unshare", "--map-users", map, "--map-groups", map, "--map-root-user", "sh", "-c", command], { stderr: "pipe" }),
        )
        .find(({ exitCode }) => exitCode === 0);
    expect(inNamespace(`chown 8:8 '${dir}/mail'`)).toBeDefined();
    site.place.makeBundle((config) => {
      for (const set of Object.values(config["process"].capabilities as Record<string, string[]>))
        set.push("CAP_SETUID", "CAP_SETGID", "CAP_DAC_OVERRIDE");
    });
    const result = await site.run([
      "srun",
      "--container",
      site.bundle,
      "sh",
      "-c",
      "busybox stat -c '%u:%g %n' /var/mail /var/own; cat /var/mail; id -u",
    ]);
    expect(result.stdout).toBe("8:8 /var/mail\n0:0 /var/own\nfor user 8\n0\n");
    site.place.makeBundle((config) => {
      config["process"].user = { uid: 8, gid: 8 };
    });
    expect((await site.run(["srun", "--container", site.bundle, "sh", "-c", "id -u; cat /var/mail"])).stdout).toBe("8\nfor user 8\n");
    inNamespace(`rm -rf '${dir}'`);
  });
});

test("a range is read from its own line", async () => {
  await using site = new Site();
  const file = join(site.dir, "subuid");
  writeFileSync(file, "other:1:5\nme:x:5\n77:300:70\nme:100000:65536\n");
  expect(findRange(file, { name: "me", uid: 1 })).toEqual({ start: 100000, count: 65536 });
  expect(findRange(file, { name: "nobody", uid: 77 })).toEqual({ start: 300, count: 70 });
  expect(findRange(file, { name: "nobody", uid: 78 })).toBeUndefined();
  expect(findRange(join(site.dir, "none"), { name: "me", uid: 1 })).toBeUndefined();
});
