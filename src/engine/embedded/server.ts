/** The controller's ear: connections, requests, answers (wire.ts). What a request does is in operations.ts. */
import { BerthError } from "#job/errors.ts";
import { VERSION } from "#job/version.ts";
import { listenFrames, parseJsonFrame, type FrameConnection } from "#platform/frames.ts";
import { sharesUserNamespace } from "#platform/namespaces.ts";
import { Caller } from "./caller.ts";
import { operationsFor, type Handlers, type OperationsOptions } from "./operations.ts";
import { packRecords } from "./packed-records.ts";
import { toWire } from "./wire-error.ts";
import { MOVED, PACK_LEAST, PART_SIZE, type Answer, type Operation, type Request, type WireError } from "./wire.ts";

export interface ServerOptions extends OperationsOptions {
  readonly socketPath: string;
  /** What the predecessor left is taken up: until then nobody is answered, because half the jobs would be unknown. */
  readonly recovered: Promise<void>;
  /** Who the user is outside, when we run in a user namespace of podman or rootlesskit (docs/scrun.md). */
  readonly outside: { readonly uid: number; readonly gid: number } | undefined;
}

export class Server {
  readonly #options: ServerOptions;
  readonly #listener: { stop(): void };
  readonly #askers = new Set<Client>();

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#listener = listenFrames(options.socketPath, (connection) => this.#welcome(connection));
  }

  /** Whether commands are connected. */
  get isAsked(): boolean {
    return this.#askers.size > 0;
  }

  stop(): void {
    this.#listener.stop();
  }

  #welcome(connection: FrameConnection): void {
    const client = new Client(connection, this.#options);
    connection.handle({
      frame: (_type, payload) => {
        let message: unknown;
        try {
          message = parseJsonFrame(payload);
        } catch {
          connection.close();
          return;
        }
        if (isSpare(message)) this.#options.controller.pool.add(connection);
        else {
          this.#askers.add(client);
          client.take(message);
        }
      },
      closed: () => {
        this.#askers.delete(client);
        client.closed();
      },
    });
  }
}

function isSpare(message: unknown): boolean {
  return typeof message === "object" && message !== null && "event" in message && message.event === "spare";
}

/** One connection of a command: requests, and their answers. */
class Client {
  readonly #connection: FrameConnection;
  readonly #options: ServerOptions;
  readonly #caller: Caller;
  readonly #handlers: Handlers;

  constructor(connection: FrameConnection, options: ServerOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#caller = new Caller(connection, options.controller, options.outside);
    this.#handlers = operationsFor(this.#caller, options);
  }

  closed(): void {
    this.#caller.closed();
  }

  take(message: unknown): void {
    if (!isRequest(message) || !Object.hasOwn(this.#handlers, message.op)) {
      this.#connection.close();
      return;
    }
    void this.#answer(message);
  }

  async #answer(request: Request): Promise<void> {
    const { id } = request;
    try {
      if (request.version !== VERSION && !OF_ANY_VERSION.has(request.op)) {
        throw new BerthError("VERSION", `The controller is Berth ${VERSION}, this command is ${request.version}`, {
          hint: "run: berth daemon restart   (jobs that run go on)",
        });
      }
      if (this.#options.outside !== undefined && !sharesUserNamespace(this.#caller.pid)) {
        await this.#makeWay();
        this.#send({ id, error: { code: MOVED, message: "the controller makes way for one outside", hint: null, before: [] } });
        return;
      }
      await this.#options.recovered;
      const handler = this.#handlers[request.op] as (args: unknown, id: number) => unknown;
      const result = await handler(request.args, id);
      if (Array.isArray(result)) this.#sendList(id, result);
      else this.#send({ id, result: result ?? null });
    } catch (error) {
      this.#send({ id, error: this.#wireError(error, request.op) });
    }
  }

  /**
   * Jobs of users must not run in podman's user namespace: who comes from outside gets a controller there. Nothing of this
   * request was done.
   */
  async #makeWay(): Promise<void> {
    await this.#options.onStop({ cancelJobs: false, by: this.#caller.uid });
  }

  #wireError(error: unknown, op: string): WireError {
    if (error instanceof BerthError) return toWire(error);
    if (this.#caller.gone.aborted) return { code: "GONE", message: "the caller has gone", hint: null, before: [] };
    const { controller, logFile } = this.#options;
    const stateDir = controller.paths.state;
    if (isStorageError(error))
      return {
        code: "STORE",
        message: `Cannot write to ${stateDir}: ${error.message}`,
        hint: "make room there; what was accepted before is safe",
        before: [],
      };
    controller.log("request.failed", { op, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    return {
      code: "INTERNAL",
      message: `The controller failed to do "${op}"`,
      hint: `its log says more: ${logFile}`,
      before: [],
    };
  }

  #send(answer: Answer): void {
    this.#connection.sendJson(answer);
  }

  #sendList(id: number, list: readonly unknown[]): void {
    for (let start = 0; start < list.length; start += PART_SIZE) {
      const part: readonly unknown[] = list.slice(start, start + PART_SIZE);
      if (part.length >= PACK_LEAST && part.every(isObject)) this.#send({ id, packed: packRecords(part) });
      else this.#send({ id, part });
    }
    this.#send({ id, result: null });
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The disk is full, or refuses to be written to. */
function isStorageError(error: unknown): error is Error {
  return (
    error instanceof Error &&
    "code" in error &&
    typeof error.code === "string" &&
    /^(SQLITE_(FULL|IOERR|READONLY)|ENOSPC|EDQUOT|EROFS|EIO)/.test(error.code)
  );
}

function isRequest(message: unknown): message is Request {
  return (
    typeof message === "object" &&
    message !== null &&
    "id" in message &&
    typeof message.id === "number" &&
    "op" in message &&
    typeof message.op === "string" &&
    "args" in message &&
    typeof message.args === "object" &&
    message.args !== null &&
    "version" in message
  );
}

/** What `berth daemon restart` of another version asks: without them an upgrade could not end the controller that refuses it. */
const OF_ANY_VERSION: ReadonlySet<Operation> = new Set<Operation>(["status", "stop"]);
