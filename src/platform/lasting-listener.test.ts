import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { connectFrames } from "./frames.ts";
import { LastingListener, renewedPath } from "./lasting-listener.ts";

let dir: string;
const before = process.env["XDG_RUNTIME_DIR"];
beforeEach(() => {
  dir = mkdtempSync("/tmp/berth-listener-");
  process.env["XDG_RUNTIME_DIR"] = dir;
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
  if (before === undefined) delete process.env["XDG_RUNTIME_DIR"];
  else process.env["XDG_RUNTIME_DIR"] = before;
});

const listen = (path: string) => {
  return { listener: new LastingListener(path, () => undefined) };
};
const canConnect = async (path: string) => {
  try {
    (await connectFrames(path)).end();
    return true;
  } catch {
    return false;
  }
};

test("a socket that was taken away is made again, as often as needed; connections of before stay", async () => {
  const path = join(dir, "1.batch");
  const { listener } = listen(path);
  const old = await connectFrames(path);
  for (let round = 0; round < 2; round++) {
    rmSync(path);
    expect(await canConnect(path)).toBe(false);
    listener.renew();
    expect(await canConnect(path)).toBe(true);
    listener.renew(); // in its place: nothing to do
    expect(await canConnect(path)).toBe(true);
  }
  expect(old.isClosed).toBe(false);
  listener.stop();
  expect(existsSync(path)).toBe(false);
  listener.renew();
  expect(existsSync(path)).toBe(false);
});

test("where the old directory cannot be made, it is the user's by now", async () => {
  const gone = mkdtempSync("/tmp/berth-listener-");
  const path = join(gone, "1.batch");
  const { listener } = listen(path);
  rmSync(gone, { recursive: true });
  // Somebody has put a file where the directory was.
  await Bun.write(gone, "");
  listener.renew();
  const renewed = renewedPath(path);
  expect(renewed.startsWith(join(dir, "berth/"))).toBe(true);
  expect(await canConnect(renewed)).toBe(true);
  listener.stop();
  expect(existsSync(renewed)).toBe(false);
  rmSync(gone);
});
