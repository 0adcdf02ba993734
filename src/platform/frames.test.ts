import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectFrames, JSON_FRAME, listenFrames, parseJsonFrame, type FrameConnection } from "./frames.ts";
import { rejectionOf } from "../../test/rejection.ts";

let dir: string;
let path: string;
const open: { stop(): void }[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-frames-"));
  path = join(dir, "s");
});
afterEach(() => {
  for (const server of open.splice(0)) server.stop();
  rmSync(dir, { recursive: true, force: true });
});

interface Seen {
  readonly frames: [number, Buffer][];
  readonly closed: Promise<void>;
  count(): number;
  until(count: number): Promise<void>;
}

/** Collects what a connection delivers. */
function watch(connection: FrameConnection): Seen {
  const frames: [number, Buffer][] = [];
  const closed = Promise.withResolvers<void>();
  let closings = 0;
  let wake: () => void = () => undefined;
  connection.handle({
    frame: (type, payload) => {
      frames.push([type, Buffer.from(payload)]);
      wake();
    },
    closed: () => {
      closings++;
      closed.resolve();
      wake();
    },
  });
  return {
    frames,
    closed: closed.promise,
    count: () => closings,
    until: async (count) => {
      while (frames.length < count)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    },
  };
}

/** A listener; what the first connection delivers, and the connection. */
function listen(): { readonly first: Promise<{ readonly connection: FrameConnection; readonly seen: Seen }> } {
  const first = Promise.withResolvers<{ connection: FrameConnection; seen: Seen }>();
  open.push(listenFrames(path, (connection) => first.resolve({ connection, seen: watch(connection) })));
  return { first: first.promise };
}

function rawFrame(type: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt32LE(payload.byteLength, 0);
  header.writeUInt8(type, 4);
  return Buffer.concat([header, payload]);
}

async function rawConnect(): Promise<Socket> {
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  return socket;
}

const flushed = (socket: Socket, bytes: Uint8Array) =>
  new Promise<void>((resolve) => {
    socket.write(bytes, () => resolve());
  });

describe("frames", () => {
  test("values arrive in order, with their types", async () => {
    const { first } = listen();
    const client = await connectFrames(path);
    watch(client);
    client.sendJson({ a: [1, "ä", null] });
    client.send(7, Buffer.from("bytes"));
    client.send(2, new Uint8Array());
    const { seen } = await first;
    await seen.until(3);
    expect(seen.frames.map(([type]) => type)).toEqual([JSON_FRAME, 7, 2]);
    expect(parseJsonFrame(seen.frames[0]?.[1] ?? Buffer.alloc(0))).toEqual({ a: [1, "ä", null] });
    expect(seen.frames[1]?.[1].toString()).toBe("bytes");
    expect(seen.frames[2]?.[1]).toHaveLength(0);
    client.close();
    await seen.closed;
    expect(seen.count()).toBe(1);
  });

  test("a stream cut anywhere is put together again", async () => {
    const { first } = listen();
    const socket = await rawConnect();
    const payloads = ["", "x", "{}", "y".repeat(300)].map((text) => Buffer.from(text));
    const stream = Buffer.concat(payloads.map((payload, type) => rawFrame(type, payload)));
    const { seen } = await first;
    for (const size of [1, 2, 3, 5, 7, 64, stream.length]) {
      const before = seen.frames.length;
      for (let at = 0; at < stream.length; at += size) {
        await flushed(socket, stream.subarray(at, at + size));
        if (size < 8) await new Promise((resolve) => setImmediate(resolve)); // so that pieces stay apart
      }
      await seen.until(before + payloads.length);
      expect(seen.frames.slice(before).map(([type, payload]) => [type, payload.toString()])).toEqual(
        payloads.map((payload, type) => [type, payload.toString()]),
      );
    }
    socket.destroy();
  }, 20_000);

  test("32 MiB in one frame, both ways at once", async () => {
    const { first } = listen();
    const client = await connectFrames(path);
    const mine = watch(client);
    const big = Buffer.alloc(32 << 20, "0123456789abcdef");
    const { connection, seen } = await first;
    client.send(1, big);
    connection.send(2, big);
    await Promise.all([seen.until(1), mine.until(1)]);
    expect(seen.frames[0]?.[1].equals(big)).toBe(true);
    expect(mine.frames[0]?.[1].equals(big)).toBe(true);
    client.close();
  }, 30_000);

  test("a sender that waits for `drained` keeps its queue short, and nothing is lost", async () => {
    const { first } = listen();
    const client = await connectFrames(path);
    watch(client);
    let refusals = 0;
    const chunk = Buffer.alloc(64 << 10, 1);
    for (let i = 0; i < 500; i++)
      if (!client.send(1, chunk)) {
        refusals++;
        await client.drained();
      }
    const { seen } = await first;
    await seen.until(500);
    expect(refusals).toBeGreaterThan(0);
    client.close();
  }, 20_000);

  test("`end` sends what is queued first; later frames are dropped", async () => {
    const { first } = listen();
    const client = await connectFrames(path);
    const mine = watch(client);
    client.send(1, Buffer.alloc(4 << 20, 1));
    client.send(2, Buffer.from("last"));
    client.end();
    expect(client.send(3, Buffer.from("too late"))).toBe(true);
    const { seen } = await first;
    await seen.closed;
    expect(seen.frames.map(([type]) => type)).toEqual([1, 2]);
    await mine.closed;
  }, 20_000);

  test("frames that come before anybody listens are kept", async () => {
    open.push(
      listenFrames(path, (connection) => {
        watch(connection);
        for (let i = 0; i < 3; i++) connection.sendJson(i);
      }),
    );
    const client = await connectFrames(path);
    await Bun.sleep(20);
    const mine = watch(client);
    await mine.until(3);
    expect(mine.frames.map(([, payload]) => parseJsonFrame(payload))).toEqual([0, 1, 2]);
    client.close();
  });

  const hostile: readonly (readonly [name: string, bytes: Buffer])[] = [
    ["a length of 4 GiB", Buffer.from([0xff, 0xff, 0xff, 0xff, 0])],
    [
      "a length just above the limit",
      (() => {
        const header = Buffer.alloc(5);
        header.writeUInt32LE((64 << 20) + 1, 0);
        return header;
      })(),
    ],
    ["a good frame, then a bad length", Buffer.concat([rawFrame(1, Buffer.from("good")), Buffer.from([0xff, 0xff, 0xff, 0x7f, 1])])],
  ];
  test.each(hostile)("%s closes the connection, and the listener goes on", async (_name, bytes) => {
    const { first } = listen();
    const socket = await rawConnect();
    const isClosed = new Promise<void>((resolve) => {
      socket.once("close", () => resolve());
    });
    socket.on("error", () => undefined);
    await flushed(socket, bytes);
    const { seen } = await first;
    await Promise.all([seen.closed, isClosed]);
    expect(seen.count()).toBe(1);
    expect(seen.frames.length).toBe(bytes.length > 5 ? 1 : 0);
    const other = await connectFrames(path);
    expect(other.isClosed).toBe(false);
    other.close();
  });

  test("a peer that goes in the middle of a frame is a close, not a frame", async () => {
    const { first } = listen();
    const socket = await rawConnect();
    await flushed(socket, rawFrame(1, Buffer.alloc(1000)).subarray(0, 500));
    socket.destroy();
    const { seen } = await first;
    await seen.closed;
    expect(seen.frames).toEqual([]);
  });

  test("nobody there is the system's error", async () => {
    expect(await rejectionOf(connectFrames(join(dir, "nosuch")))).toMatchObject({ code: "ENOENT" });
  });
  test("both ends know whose the other is", async () => {
    const { first } = listen();
    const client = await connectFrames(path);
    const { connection } = await first;
    expect([client.peer.uid, connection.peer.uid]).toEqual([process.getuid?.() ?? -1, process.getuid?.() ?? -1]);
    expect(connection.peer.pid).toBe(process.pid);
    client.close();
  });
});
