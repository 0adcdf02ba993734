// A small image for podman and docker: busybox, two users, nothing else.
import { chmodSync, copyFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Makes `DIR/image.tar`, a root file system to import. */
export function makeImage(dir: string): string {
  const root = join(dir, "image");
  for (const name of ["bin", "dev", "proc", "sys", "etc", "root", "tmp"]) mkdirSync(join(root, name), { recursive: true });
  chmodSync(join(root, "tmp"), 0o1777);
  const busybox = Bun.which("busybox");
  if (busybox === null) throw new Error("busybox was there a moment ago");
  copyFileSync(busybox, join(root, "bin/busybox"));
  const list = Bun.spawnSync([busybox, "--list"], { timeout: 10_000 }).stdout.toString().trim().split("\n");
  for (const applet of list) if (applet !== "busybox") symlinkSync("busybox", join(root, "bin", applet));
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nme:x:1000:1000:me:/tmp:/bin/sh\n");
  writeFileSync(join(root, "etc/group"), "root:x:0:\nme:x:1000:\n");
  const tar = join(dir, "image.tar");
  const { success, stderr } = Bun.spawnSync(["tar", "-C", root, "--owner=0", "--group=0", "-cf", tar, "."], { timeout: 30_000 });
  if (!success) throw new Error(`tar: ${stderr.toString()}`);
  return tar;
}
