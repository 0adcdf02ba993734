import { expect, test } from "bun:test";
import type { StepEvent } from "./engine.ts";
import { StepEvents } from "./step-events.ts";

const said = (text: string): StepEvent => ({ kind: "message", text });
const ENDED: StepEvent = { kind: "ended", exit: { code: 0, signal: 0 } };

test("events come in order, and nothing comes after the last", async () => {
  const events = new StepEvents();
  events.push(said("a"));
  const read = Array.fromAsync(events);
  events.push(said("b"));
  expect(events.isOver).toBe(false);
  events.push(ENDED);
  events.push(said("late"));
  expect(events.isOver).toBe(true);
  expect(await read).toEqual([said("a"), said("b"), ENDED]);
});

test("closing ends a reader that waits, after what has come", async () => {
  const events = new StepEvents();
  const read = Array.fromAsync(events);
  events.push(said("a"));
  events.close();
  events.push(said("late"));
  expect(await read).toEqual([said("a")]);
});
