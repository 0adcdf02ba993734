import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { closeSync, mkdtempSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { holdFifo, InputWriter, makeInputFifo, makeOutputFifo, pumpOutput, reopenOutputFifo } from "./pipes.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-pipes-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function collect(fd: number): Promise<string> {
  let text = "";
  await pumpOutput(fd, (bytes) => {
    text += Buffer.from(bytes).toString();
    return undefined;
  });
  return text;
}

describe("output", () => {
  test("arrives whole and ends with the last writer", async () => {
    const { taskFd, ourFd } = makeOutputFifo(join(dir, "o"));
    const collected = collect(ourFd);
    writeSync(taskFd, "one\n");
    writeSync(taskFd, "two\n");
    closeSync(taskFd);
    expect(await collected).toBe("one\ntwo\n");
  });
  test("waits for a reader that comes later", async () => {
    const path = join(dir, "o");
    const { taskFd, ourFd } = makeOutputFifo(path);
    closeSync(ourFd); // the step daemon was killed
    writeSync(taskFd, "kept\n");
    const collected = collect(reopenOutputFifo(path));
    closeSync(taskFd);
    expect(await collected).toBe("kept\n");
  });
  test("a reader that comes after the last writer has gone sees the end", async () => {
    const path = join(dir, "o");
    const { taskFd, ourFd } = makeOutputFifo(path);
    closeSync(ourFd);
    closeSync(taskFd);
    expect(await collect(reopenOutputFifo(path))).toBe("");
  });
  test("what is in it stays for a later reader while somebody holds it", async () => {
    const path = join(dir, "o");
    const { taskFd, ourFd } = makeOutputFifo(path);
    closeSync(ourFd);
    writeSync(taskFd, "kept\n");
    const held = holdFifo(path);
    closeSync(taskFd);
    expect(await collect(reopenOutputFifo(path))).toBe("kept\n");
    held?.[Symbol.dispose]();
    expect(holdFifo(join(dir, "nothing"))).toBeUndefined();
  });
  test("what a daemon that was killed left at its place is replaced", async () => {
    writeFileSync(join(dir, "o"), "in the way");
    const { taskFd, ourFd } = makeOutputFifo(join(dir, "o"));
    const collected = collect(ourFd);
    writeSync(taskFd, "new\n");
    closeSync(taskFd);
    expect(await collected).toBe("new\n");
    const again = makeInputFifo(join(dir, "o"));
    closeSync(again.taskFd);
    closeSync(again.ourFd);
  });
});

describe("input", () => {
  test("reaches the task, and its end too", async () => {
    const { taskFd, ourFd } = makeInputFifo(join(dir, "i"));
    const writer = new InputWriter(ourFd);
    const child = Bun.spawn(["wc", "-c"], { stdio: [taskFd, "pipe", "ignore"] });
    closeSync(taskFd);
    const chunk = Buffer.alloc(100_000, "x");
    for (let i = 0; i < 10; i++) await writer.write(chunk);
    await writer.end();
    expect((await new Response(child.stdout).text()).trim()).toBe("1000000");
  });
  test("a task that has gone swallows what is written", async () => {
    const { taskFd, ourFd } = makeInputFifo(join(dir, "i"));
    const writer = new InputWriter(ourFd);
    closeSync(taskFd);
    for (let i = 0; i < 3; i++) await writer.write(Buffer.alloc(200_000));
    await writer.end();
    expect(readFileSync("/proc/self/stat", "utf8")).not.toBe("");
  });
});
