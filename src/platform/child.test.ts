import { describe, expect, test } from "bun:test";
import { constants } from "node:os";
import { runChild } from "./child.ts";
import { rejectionOf } from "../../test/rejection.ts";

const options = { env: { PATH: process.env["PATH"] ?? "/bin" }, cwd: "/", signal: new AbortController().signal, timeoutMs: 10_000 };

describe("runChild", () => {
  test("outputs come apart, whole, with the exit code", async () => {
    expect(await runChild(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], options)).toEqual({
      status: { kind: "exited", code: 3 },
      stdout: "out\n",
      stderr: "err\n",
      isTimedOut: false,
    });
  });
  test("nothing is inherited", async () => {
    expect((await runChild(["/usr/bin/env"], { ...options, env: { A: "1" } })).stdout).toBe("A=1\n");
  });
  test("a missing program is a status", async () => {
    expect((await runChild(["/nosuch/program"], options)).status).toMatchObject({ kind: "notStarted", errno: constants.errno.ENOENT });
  });
  test("a signal is a signal", async () => {
    expect((await runChild(["/bin/sh", "-c", "kill -USR1 $$"], options)).status).toMatchObject({
      kind: "signaled",
      signal: constants.signals.SIGUSR1,
    });
  });
  test("time limit and children: the whole group ends, even what ignores SIGTERM", async () => {
    const result = await runChild(["/bin/sh", "-c", "trap '' TERM; sleep 1000 & sleep 1000"], { ...options, timeoutMs: 50, graceMs: 50 });
    expect(result.isTimedOut).toBe(true);
    expect(result.status).toMatchObject({ kind: "signaled", signal: constants.signals.SIGKILL });
  });
  test("a descendant that keeps the pipe delays the result by drainMs only", async () => {
    const result = await runChild(["/bin/sh", "-c", "setsid sleep 5 & echo $!"], { ...options, drainMs: 20 });
    expect(result.status).toEqual({ kind: "exited", code: 0 });
    process.kill(Number(result.stdout), "SIGKILL");
  });
  test("cancelling ends the child and throws the reason", async () => {
    const controller = new AbortController();
    const running = runChild(["/bin/sleep", "1000"], { ...options, signal: controller.signal });
    controller.abort(new Error("enough"));
    expect(String(await rejectionOf(running))).toContain("enough");
    expect(String(await rejectionOf(runChild(["/bin/sleep", "1000"], { ...options, signal: controller.signal })))).toContain("enough");
  });
  test("more output than wanted is dropped, and never stops the child", async () => {
    const result = await runChild(["/bin/sh", "-c", "yes | head -c 3000000; exit 4"], { ...options, maxOutputBytes: 1000 });
    expect(result.status).toEqual({ kind: "exited", code: 4 });
    expect(result.stdout).toHaveLength(1000);
  });
});
