import { describe, expect, test } from "bun:test";
import type { EpochMs } from "./id.ts";
import { next, outcomeOf, type JobEvent, type Outcome } from "./life.ts";
import type { JobRecord } from "./record.ts";

const at = (ms: number) => ms as EpochMs;
const NOTHING: Partial<JobRecord> = {
  flags: [],
  restarts: 0,
  exit: { code: 0, signal: 0 },
  derivedExit: { code: 0, signal: 0 },
  shares: [],
  nodes: [],
  priority: 7,
  suspendedMs: 0,
  startedAt: null,
  endedAt: null,
  cancelledBy: null,
  reason: "None",
};
const pending = { ...NOTHING, state: "PENDING" } as JobRecord;

const granted: JobEvent = {
  kind: "granted",
  at: at(10),
  shares: [{ node: "n1", cpuIds: [0], memMib: 0, gres: {} }],
  allocated: { cpus: 1, memMib: null, nodes: 1, gres: {} },
  isBackfill: false,
};
const finishing = (state: Outcome["state"], reason = "None", cancelledBy: number | null = null): JobEvent => ({
  kind: "finishing",
  at: at(20),
  outcome: { state, reason, cancelledBy },
});
const exited = (code: number, signal = 0): JobEvent => ({ kind: "exited", exit: { code, signal } });
const released: JobEvent = { kind: "released", at: at(30) };
const cancelled: JobEvent = { kind: "cancelledPending", at: at(15), by: 1000 };
const requeued = (isHeld = false): JobEvent => ({ kind: "requeued", at: at(30), eligibleAt: at(151), isHeld, description: null });
const stepEnded = (code: number): JobEvent => ({ kind: "stepEnded", exit: { code, signal: 0 } });

const shown = (job: JobRecord) => `${job.state}${job.flags.map((flag) => `+${flag}`).join("")} ${job.exit.code}:${job.exit.signal}`;

const lives: readonly (readonly [name: string, events: readonly JobEvent[], shown: string])[] = [
  ["granted runs", [granted], "RUNNING 0:0"],
  ["a success", [granted, exited(0), finishing("COMPLETED"), released], "COMPLETED 0:0"],
  ["a failure keeps its code", [granted, exited(3), finishing("FAILED", "NonZeroExitCode"), released], "FAILED 3:0"],
  ["what has ended completes until everything is gone", [granted, exited(0), finishing("COMPLETED")], "COMPLETED+COMPLETING 0:0"],
  [
    "the first outcome stays: time limit, then exit 0",
    [granted, finishing("TIMEOUT"), exited(0), finishing("COMPLETED"), released],
    "TIMEOUT 0:0",
  ],
  [
    "the first outcome stays: exit, then cancel",
    [granted, exited(0), finishing("COMPLETED"), finishing("CANCELLED"), released],
    "COMPLETED 0:0",
  ],
  ["cancelled while it runs", [granted, finishing("CANCELLED"), exited(0, 15), released], "CANCELLED 0:15"],
  ["cancelled while it waits", [cancelled], "CANCELLED 0:0"],
  ["cancelled while it waits, twice", [cancelled, cancelled], "CANCELLED 0:0"],
  ["a cancel for waiting jobs does nothing to a running one", [granted, cancelled], "RUNNING 0:0"],
  ["an outcome does nothing to a waiting job", [finishing("CANCELLED")], "PENDING 0:0"],
  ["requeued after its run", [granted, finishing("PENDING"), exited(0, 15), requeued()], "PENDING 0:0"],
  ["to be requeued it completes first", [granted, finishing("PENDING")], "PENDING+COMPLETING 0:0"],
  ["a cancel overrules a requeue that is under way", [granted, finishing("PENDING"), finishing("CANCELLED"), released], "CANCELLED 0:0"],
  ["an exit does not overrule a requeue", [granted, finishing("PENDING"), exited(1), finishing("FAILED")], "PENDING+COMPLETING 1:0"],
  ["it runs again after a requeue", [granted, finishing("PENDING"), requeued(), granted], "RUNNING 0:0"],
  ["suspended and resumed", [granted, { kind: "suspended", at: at(11) }, { kind: "resumed", at: at(15) }], "RUNNING 0:0"],
  ["suspended and cancelled", [granted, { kind: "suspended", at: at(11) }, finishing("CANCELLED"), released], "CANCELLED 0:0"],
];

describe("next", () => {
  test.each(lives)("%s", (_name, events, wanted) => expect(shown(events.reduce(next, pending))).toBe(wanted));

  test("an allocation is where it is, from then on", () => {
    expect(next(pending, granted)).toMatchObject({ nodes: ["n1"], batchHost: "n1", startedAt: 10, endedAt: null, scheduler: "Main" });
  });
  test("a requeue forgets the run and counts it", () => {
    const job = [granted, finishing("PENDING"), exited(3), stepEnded(3), requeued(true)].reduce(next, pending);
    expect(job).toMatchObject({
      restarts: 1,
      startedAt: null,
      endedAt: null,
      nodes: [],
      shares: [],
      allocated: null,
      priority: 0,
      reason: "JobHeldUser",
      eligibleAt: 151,
      derivedExit: { code: 0 },
    });
  });
  test("the derived exit is the highest code of the steps", () => {
    const job = [granted, stepEnded(2), stepEnded(9), stepEnded(0), stepEnded(3)].reduce(next, pending);
    expect(job.derivedExit).toEqual({ code: 9, signal: 0 });
  });
  test("records are never changed in place", () => {
    const frozen = Object.freeze({ ...pending, flags: Object.freeze([]) as never });
    for (const [, events] of lives)
      for (let job: JobRecord = frozen, i = 0; i < events.length; i++) job = Object.freeze(next(job, events[i] as JobEvent));
  });
  test.each([
    ["granted", [granted, granted]],
    ["released", [granted, released]],
  ] as const)("what cannot happen is a bug: %s", (_name, events) => {
    expect(() => events.reduce(next, pending)).toThrow();
  });
  test("time that it was suspended is counted by itself", () => {
    const job = [
      granted,
      { kind: "suspended", at: at(11) } as const,
      { kind: "resumed", at: at(15) } as const,
      finishing("COMPLETED"),
    ].reduce(next, pending);
    expect(job.suspendedMs).toBe(4);
  });

  test("random events: an ended job stays ended, and only a requeue brings it back", () => {
    const all: readonly JobEvent[] = [
      granted,
      finishing("COMPLETED"),
      finishing("CANCELLED"),
      finishing("PENDING"),
      exited(1),
      released,
      cancelled,
      requeued(),
      stepEnded(1),
      { kind: "suspended", at: at(11) },
      { kind: "resumed", at: at(12) },
    ];
    const seed = Number(process.env["BERTH_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
    let state = seed;
    const random = (below: number) => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return (state >>> 8) % below;
    };
    for (let round = 0; round < 500; round++) {
      let job = pending;
      for (let i = 0; i < 30; i++) {
        const event = all[random(all.length)] as JobEvent;
        let after: JobRecord;
        try {
          after = next(job, event);
        } catch {
          continue; // impossible here; the job is as it was
        }
        const isOver = ["COMPLETED", "CANCELLED"].includes(job.state);
        if (isOver && event.kind !== "requeued") expect(after.state, `BERTH_SEED=${seed} ${event.kind}`).toBe(job.state);
        if (job.state === "PENDING" && after.state === "RUNNING") expect(event.kind).toBe("granted");
        job = after;
      }
    }
  });
});

describe("outcomeOf", () => {
  test.each([
    [0, 0, "COMPLETED", "None"],
    [1, 0, "FAILED", "NonZeroExitCode"],
    [255, 0, "FAILED", "NonZeroExitCode"],
    [0, 9, "FAILED", "RaisedSignal:9(Killed)"],
    [0, 53, "FAILED", "JobLaunchFailure"],
    [0, 64, "FAILED", "RaisedSignal:64(Unknown)"],
  ] as const)("%i:%i is %s, %s", (code, signal, state, reason) =>
    expect(outcomeOf({ code, signal })).toEqual({ state, reason, cancelledBy: null }),
  );
});
