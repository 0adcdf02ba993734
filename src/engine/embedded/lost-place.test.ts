import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { watchPlace } from "./lost-place.ts";

let dir: string;
let looks: number;
let lost: number;
let isNeeded: boolean;
let watch: Disposable;
const [database, socket] = [() => join(dir, "berth.db"), () => join(dir, "berthd.sock")];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "lost-place-"));
  writeFileSync(database(), "");
  writeFileSync(socket(), "");
  [looks, lost, isNeeded] = [0, 0, false];
  watch = watchPlace({
    database: database(),
    socket: socket(),
    isNeeded: () => {
      looks++;
      return isNeeded;
    },
    onLost: () => lost++,
    everyMs: 1,
  });
});
afterEach(() => {
  watch[Symbol.dispose]();
  rmSync(dir, { recursive: true, force: true });
});

async function until(look: () => boolean): Promise<void> {
  for (const end = performance.now() + 20_000; performance.now() < end; await Bun.sleep(1)) if (look()) return;
  throw new Error("waited in vain");
}

test("both gone: told once, when nobody needs it any more", async () => {
  isNeeded = true;
  rmSync(database());
  rmSync(socket());
  await until(() => looks > 2);
  expect(lost).toBe(0);
  isNeeded = false;
  await until(() => lost > 0);
  const before = looks;
  await Bun.sleep(20);
  expect([lost, looks]).toEqual([1, before]);
});

test.each([
  ["the database alone", () => rmSync(database())],
  ["the socket alone", () => rmSync(socket())],
  // As when the file system of the home directory is away.
  ["the socket, and the way to the database", () => [rmSync(socket()), renameSync(database(), `${database()}.away`)]],
])("%s: it stays", async (_name, take) => {
  take();
  await Bun.sleep(30);
  expect([lost, looks]).toEqual([0, 0]);
  // It does look: with the rest gone it is lost.
  rmSync(`${database()}.away`, { force: true });
  rmSync(database(), { force: true });
  rmSync(socket(), { force: true });
  await until(() => lost === 1);
});
