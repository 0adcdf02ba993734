/**
 * Framed messages over a unix stream socket, for the controller and the step daemons.
 *
 *   frame   = length type payload
 *   length  = u32, little endian: bytes of payload
 *   type    = u8
 *
 * Type 0 carries one JSON value in UTF-8; what the other types carry is said by who uses them. Both ends check the
 * peer's user id (SO_PEERCRED): the directory is private already, this is the second lock. A connection that
 * sends a longer frame than MAX_FRAME is closed.
 */
import { BerthError } from "#job/errors.ts";
import { orDie } from "./fail-fast.ts";
import { peerCredentials, type PeerCredentials } from "./system.ts";

export const JSON_FRAME = 0;
const HEADER = 5;
const MAX_FRAME = 64 * 1024 * 1024;
/** Above this much unsent data `send` answers false, and well-behaved senders wait for `drained`. */
const HIGH_WATER = 256 * 1024;

export interface FrameHandlers {
  frame(type: number, payload: Uint8Array): void;
  /** Exactly once; nothing is delivered afterwards. */
  closed(): void;
}

type Socket = Bun.Socket<SocketState>;
interface SocketState {
  connection: FrameConnection;
}

export class FrameConnection {
  readonly peer: PeerCredentials;
  readonly #socket: Socket;
  #handlers: FrameHandlers | undefined;
  /** What came of a frame that is not whole yet: put together once, when `#needed` bytes are there. */
  #input: Buffer[] = [];
  #inputBytes = 0;
  #needed = HEADER;
  #output: Uint8Array[] = [];
  #outputBytes = 0;
  #isClosed = false;
  #isEnding = false;
  #waiters: (() => void)[] = [];
  readonly #early: [number, Uint8Array][] = [];

  constructor(socket: Socket, peer: PeerCredentials) {
    this.#socket = socket;
    this.peer = peer;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Frames that came before are delivered now. */
  handle(handlers: FrameHandlers): void {
    this.#handlers = handlers;
    for (const [type, payload] of this.#early.splice(0)) handlers.frame(type, payload);
    if (this.#isClosed) handlers.closed();
  }

  sendJson(value: unknown): boolean {
    return this.send(JSON_FRAME, Buffer.from(JSON.stringify(value)));
  }

  /** False when much is unsent; the frame is queued all the same. Frames to a closed connection are dropped. */
  send(type: number, payload: Uint8Array): boolean {
    if (this.#isClosed || this.#isEnding) return true;
    const header = Buffer.allocUnsafe(HEADER);
    header.writeUInt32LE(payload.byteLength, 0);
    header.writeUInt8(type, 4);
    this.#write(payload.byteLength < 4096 ? Buffer.concat([header, payload]) : header);
    if (payload.byteLength >= 4096) this.#write(payload);
    return this.#outputBytes < HIGH_WATER;
  }

  /** Resolves when the queue is short again, or the connection is closed. */
  drained(): Promise<void> {
    if (this.#outputBytes < HIGH_WATER || this.#isClosed) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** Closes after everything queued is sent. */
  end(): void {
    this.#isEnding = true;
    if (this.#outputBytes === 0) this.#socket.end();
  }

  close(): void {
    this.#socket.terminate();
    this.onClose();
  }

  #write(bytes: Uint8Array): void {
    if (this.#output.length > 0) {
      this.#queue(bytes);
      return;
    }
    const written = Math.max(0, this.#socket.write(bytes));
    // The caller may reuse its buffer, so what waits is a copy.
    if (written < bytes.byteLength) this.#queue(bytes.slice(written));
  }

  #queue(bytes: Uint8Array): void {
    this.#output.push(bytes);
    this.#outputBytes += bytes.byteLength;
  }

  onDrain(): void {
    for (let bytes = this.#output[0]; bytes !== undefined; bytes = this.#output[0]) {
      const written = this.#socket.write(bytes);
      if (written < 0) return;
      this.#outputBytes -= written;
      if (written < bytes.byteLength) {
        this.#output[0] = bytes.subarray(written);
        break;
      }
      this.#output.shift();
    }
    if (this.#outputBytes < HIGH_WATER) for (const resolve of this.#waiters.splice(0)) resolve();
    if (this.#isEnding && this.#outputBytes === 0) this.#socket.end();
  }

  onData(chunk: Buffer): void {
    this.#inputBytes += chunk.byteLength;
    if (this.#inputBytes < this.#needed) {
      this.#input.push(Buffer.from(chunk)); // a copy: Bun owns `chunk` only for this call
      return;
    }
    let input = this.#input.length === 0 ? chunk : Buffer.concat([...this.#input.splice(0), chunk]);
    this.#needed = HEADER;
    while (input.byteLength >= HEADER) {
      const length = input.readUInt32LE(0);
      if (length > MAX_FRAME) {
        this.close();
        return;
      }
      this.#needed = HEADER + length;
      if (input.byteLength < this.#needed) break;
      this.#deliver(input.readUInt8(4), input.subarray(HEADER, HEADER + length));
      input = input.subarray(this.#needed);
      this.#needed = HEADER;
      if (this.#isClosed) return;
    }
    this.#inputBytes = input.byteLength;
    if (input.byteLength > 0) this.#input.push(Buffer.from(input));
  }

  #deliver(type: number, payload: Uint8Array): void {
    if (this.#handlers === undefined) this.#early.push([type, payload.slice()]);
    else this.#handlers.frame(type, payload);
  }

  onClose(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#input = [];
    this.#output = [];
    this.#outputBytes = 0;
    for (const resolve of this.#waiters.splice(0)) resolve();
    this.#handlers?.closed();
  }
}

/** The bytes of a JSON frame. @throws SyntaxError when they are no JSON */
export function parseJsonFrame(payload: Uint8Array): unknown {
  return JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString());
}

/** What came over a socket: no key of it is known to be there, or to be of any type. */
export type UnknownMessage = Readonly<Record<string, unknown>>;

/** The JSON object of a frame. Undefined: there is none in it, so that its sender is not one of us. */
function parseMessage(payload: Uint8Array): UnknownMessage | undefined {
  try {
    const message = parseJsonFrame(payload);
    return typeof message === "object" && message !== null && !Array.isArray(message) ? (message as UnknownMessage) : undefined;
  } catch {
    return undefined;
  }
}

/** For each `op` of a protocol, whether a message has what that one needs. */
export type MessageChecks<Message extends { readonly op: string }> = {
  readonly [Op in Message["op"]]: (message: UnknownMessage) => boolean;
};

/** A message of that protocol. Undefined: its sender does not speak it, and the connection is to be closed. */
export function parseChecked<Message extends { readonly op: string }>(
  payload: Uint8Array,
  checks: MessageChecks<Message>,
): Message | undefined {
  const message = parseMessage(payload);
  const op = message?.["op"];
  if (message === undefined || typeof op !== "string" || !Object.hasOwn(checks, op)) return undefined;
  return checks[op as Message["op"]](message) ? (message as unknown as Message) : undefined;
}

/** A number of kill(2); 0 asks whether there is somebody. */
export function isSignalNumber(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 64;
}

function isFriend(peer: PeerCredentials): boolean {
  return peer.uid === process.getuid?.() || peer.uid === 0;
}

function accept(socket: Socket): FrameConnection | undefined {
  const peer = peerCredentials((socket as unknown as { fd: number }).fd);
  if (!isFriend(peer)) {
    socket.terminate();
    return undefined;
  }
  const connection = new FrameConnection(socket, peer);
  socket.data = { connection };
  return connection;
}

const events = {
  data(socket: Socket, chunk: Buffer) {
    orDie(() => socket.data?.connection.onData(chunk));
  },
  drain(socket: Socket) {
    socket.data?.connection.onDrain();
  },
  close(socket: Socket) {
    orDie(() => socket.data?.connection.onClose());
  },
  error(socket: Socket) {
    socket.data?.connection.onClose();
  },
};

/** Listens at `path`, which must not exist, in a directory that only the user may enter. */
export function listenFrames(path: string, onConnection: (connection: FrameConnection) => void): { stop(): void } {
  const server = Bun.listen<SocketState>({
    unix: path,
    socket: {
      ...events,
      open(socket) {
        const connection = accept(socket);
        if (connection !== undefined) onConnection(connection);
      },
    },
  });
  return { stop: () => server.stop() };
}

/** @throws the system's error (ENOENT, ECONNREFUSED) when nobody listens at `path`; BerthError DIRECTORY_UNSAFE when somebody else does */
export async function connectFrames(path: string): Promise<FrameConnection> {
  let connection: FrameConnection | undefined;
  await Bun.connect<SocketState>({
    unix: path,
    socket: {
      ...events,
      open(socket) {
        connection = accept(socket);
      },
    },
  });
  if (connection === undefined)
    throw new BerthError("DIRECTORY_UNSAFE", `Who listens at ${path} is another user`, {
      hint: "have it removed, or set XDG_RUNTIME_DIR to a directory of your own",
    });
  return connection;
}
