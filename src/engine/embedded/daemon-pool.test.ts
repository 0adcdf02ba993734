import { describe, expect, test } from "bun:test";
import type { FrameConnection, FrameHandlers } from "#platform/frames.ts";
import { DaemonPool, SPARE_DAEMONS } from "./daemon-pool.ts";

class FakeDaemon {
  handlers: FrameHandlers | undefined;
  isEnded = false;
  handle(handlers: FrameHandlers): void {
    this.handlers = handlers;
  }
  sendJson(message: unknown): void {
    expect(message).toEqual({ op: "dismiss" });
  }
  end(): void {
    this.isEnded = true;
  }
  get connection(): FrameConnection {
    return this as unknown as FrameConnection;
  }
}

async function until(what: string, is: () => boolean): Promise<void> {
  for (const deadline = performance.now() + 5000; !is(); await Bun.sleep(2))
    if (performance.now() > deadline) throw new Error(`waited for ${what}`);
}

describe("DaemonPool", () => {
  test("spares are started ahead, taken, and replaced", async () => {
    let starts = 0;
    const pool = new DaemonPool(() => {
      starts++;
    });
    pool.fill();
    pool.fill();
    expect(starts).toBe(SPARE_DAEMONS);
    const spares = Array.from({ length: SPARE_DAEMONS }, () => new FakeDaemon());
    for (const spare of spares) pool.add(spare.connection);
    expect(await pool.take()).toBe(spares[0]?.connection as FrameConnection);
    await until("the next one", () => starts === SPARE_DAEMONS + 1);
    pool.stop();
    expect(spares[1]?.isEnded).toBe(true);
  });
  test("a taker gets the first that comes", async () => {
    const pool = new DaemonPool(() => undefined);
    const taken = pool.take();
    const daemon = new FakeDaemon();
    pool.add(daemon.connection);
    expect(await taken).toBe(daemon.connection);
    pool.stop();
  });
  test("a spare that has gone is not given out", async () => {
    const pool = new DaemonPool(() => undefined);
    const [dead, alive] = [new FakeDaemon(), new FakeDaemon()];
    pool.add(dead.connection);
    pool.add(alive.connection);
    dead.handlers?.closed();
    expect(await pool.take()).toBe(alive.connection);
    pool.stop();
  });
  test("a taker is served even if every daemon that was started for it dies before it connects", async () => {
    let starts = 0;
    const pool = new DaemonPool(() => {
      starts++;
    });
    const taken = pool.take();
    for (let deaths = 0; deaths < 3; deaths++) {
      const before = starts;
      for (let i = 0; i < before; i++) pool.lost();
      await until("another start", () => starts > before);
    }
    const daemon = new FakeDaemon();
    pool.add(daemon.connection);
    expect(await taken).toBe(daemon.connection);
    pool.stop();
  });
  test("a taker is served when no daemon could be started at first", async () => {
    const failures: unknown[] = [];
    let isPossible = false;
    let starts = 0;
    const pool = new DaemonPool(
      () => {
        if (!isPossible) throw new Error("EAGAIN");
        starts++;
      },
      { onFailure: (error) => failures.push(error) },
    );
    const taken = pool.take();
    await until("a second attempt", () => failures.length > 1);
    isPossible = true;
    await until("a start", () => starts > 0);
    const daemon = new FakeDaemon();
    pool.add(daemon.connection);
    expect(await taken).toBe(daemon.connection);
    pool.stop();
  });
  test("more than are wanted are sent away", () => {
    const pool = new DaemonPool(() => undefined);
    const daemons = Array.from({ length: SPARE_DAEMONS + 1 }, () => new FakeDaemon());
    for (const daemon of daemons) pool.add(daemon.connection);
    expect(daemons.map(({ isEnded }) => isEnded)).toEqual([...Array.from({ length: SPARE_DAEMONS }, () => false), true]);
    pool.stop();
  });
  test("nothing is started after a stop", async () => {
    let starts = 0;
    const pool = new DaemonPool(() => {
      starts++;
    });
    pool.stop();
    pool.fill();
    expect(starts).toBe(0);
  });
});
