import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { listenFrames, parseJsonFrame } from "#platform/frames.ts";
import { rejectionOf } from "../../../test/rejection.ts";
import { ControllerCalls } from "./controller-calls.ts";
import { enginePaths } from "./paths.ts";
import type { Operation, Request } from "./wire.ts";

const dir = mkdtempSync(join(tmpdir(), "berth-calls-"));
const before = process.env["XDG_RUNTIME_DIR"];
let asked: Operation[] = [];
let listener: { stop(): void };

/** A controller that is killed by the first request of each test, and has a successor at the same place. */
beforeAll(() => {
  process.env["XDG_RUNTIME_DIR"] = dir;
  const { socket } = enginePaths();
  mkdirSync(join(socket, ".."), { recursive: true, mode: 0o700 });
  listener = listenFrames(socket, (connection) => {
    connection.handle({
      frame: (_type, payload) => {
        const { id, op } = parseJsonFrame(payload) as Request;
        asked.push(op);
        if (asked.length === 1) connection.close();
        else connection.sendJson({ id, result: `answer to ${op}` });
      },
      closed: () => undefined,
    });
  });
});
afterAll(() => {
  listener.stop();
  if (before === undefined) delete process.env["XDG_RUNTIME_DIR"];
  else process.env["XDG_RUNTIME_DIR"] = before;
  rmSync(dir, { recursive: true, force: true });
});

const signal = new AbortController().signal;

test.each(["jobs", "submit", "measureSteps", "findStep"] as const)("%s is asked again when the controller was killed", async (op) => {
  asked = [];
  using calls = new ControllerCalls();
  expect(await calls.call(op, {} as never, { signal })).toBe(`answer to ${op}`);
  expect(asked).toEqual([op, op]);
});

test.each(["signal", "createStep", "requeue"] as const)("%s is not: it may have been done", async (op) => {
  asked = [];
  using calls = new ControllerCalls();
  const error = await rejectionOf(calls.call(op, {} as never, { signal }));
  expect(error).toBeInstanceOf(BerthError);
  expect((error as BerthError).code).toBe("CONTROLLER_DOWN");
  expect(asked).toEqual([op]);
});
