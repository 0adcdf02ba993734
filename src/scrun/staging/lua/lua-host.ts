/**
 * The Lua interpreter of one container: the real one, as a process of its own, with host.lua around the site's script. A script
 * may use io, os and its standard streams as it likes: the channel is two FIFOs, gone from the file system as soon as both sides have them
 * open. What it prints is passed on line by line; its standard input is empty.
 *
 *   anchor                            interpreter
 *     makes DIR: host.lua, FIFOs
 *     starts it                   ──► opens the FIFOs, reads the script
 *     removes them                ◄── loaded | failed
 *     stage_in …                  ──► slurm_scrun_stage_in()
 *                                 ◄── log, questions, then returned | raised
 *     kills its process group at a limit, a cancel, or the end
 */
import { closeSync, constants, mkdirSync, openSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import type { ExitStatus } from "#job/outcome.ts";
import { signalName } from "#options/signals.ts";
import { makeFifo } from "#platform/libc.ts";
import { InputWriter, makeOutputFifo } from "#platform/pipes.ts";
import { spawnTied, type TiedProcess } from "#platform/tied-process.ts";
import { answerQuestion } from "./answers.ts";
import { LUA_CONSTANTS } from "./constants.ts";
import { FieldReader, packFields } from "./fields.ts";
import HOST from "./host.lua" with { type: "text" };
import JSON_LIBRARY from "./json.lua" with { type: "text" };
import { FifoReader, LineSplitter } from "./streams.ts";

/** How long what an interpreter said before its end may take to arrive: something it started may keep the channel open. */
const DRAIN_MS = 250;

const PROGRAM =
  'if not math.type then io.stderr:write("scrun.lua needs Lua 5.3 or newer, this is ", _VERSION, "\\n") os.exit(1) end ' +
  `local constants = ${LUA_CONSTANTS} local json = (function() ${JSON_LIBRARY} end)() ${HOST}`;

export interface LuaHostOptions {
  /** The program and its arguments before a script's name. */
  readonly interpreter: readonly [string, ...string[]];
  readonly script: string;
  /** Made and emptied here; where commands of the script are written down while they run. */
  readonly dir: string;
  readonly env: Readonly<Record<string, string>>;
  /** For remote_command, without its options; each word is quoted for sh. */
  readonly srun: readonly string[];
  /** `level` as fields.ts has it, or "output". */
  readonly onLog: (level: string, text: string) => void;
}

export interface Limits {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

export class LuaHost implements AsyncDisposable {
  readonly #options: LuaHostOptions;
  readonly #process: TiedProcess;
  readonly #replies: InputWriter;
  readonly #requests: FifoReader;
  readonly #output: FifoReader;
  readonly #lines: LineSplitter;
  readonly #fields = new FieldReader();
  #held: number[];
  #waiting: PromiseWithResolvers<string[]> | undefined;
  #lastLine = "";
  #hasEnded = false;

  /** @throws BerthError SCRUN_LUA when the script cannot be used, with file and line; nothing is left then */
  static async start(options: LuaHostOptions, limits: Limits): Promise<LuaHost> {
    const host = new LuaHost(options);
    try {
      const [state, reason = ""] = await host.#answer(`Cannot load ${options.script}`, limits);
      if (state !== "loaded") throw new BerthError("SCRUN_LUA", `Cannot use scrun.lua: ${reason}`);
      return host;
    } catch (error) {
      await host[Symbol.asyncDispose]();
      throw error;
    } finally {
      for (const name of FILES) rmSync(join(options.dir, name), { force: true });
    }
  }

  private constructor(options: LuaHostOptions) {
    const { dir } = options;
    this.#options = options;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const at = (name: (typeof FILES)[number]) => join(dir, name);
    for (const name of FILES) rmSync(at(name), { force: true });
    writeFileSync(at("host.lua"), PROGRAM, { mode: 0o600 });
    for (const name of ["requests", "replies"] as const) makeFifo(at(name), 0o600);
    // Whoever opens one end waits for the other, or reads its end of file: both are held until the first message.
    this.#held = [openSync(at("requests"), constants.O_RDWR), openSync(at("replies"), constants.O_RDWR)];
    this.#requests = new FifoReader(openSync(at("requests"), constants.O_RDONLY | constants.O_NONBLOCK), (bytes) => this.#hear(bytes));
    this.#replies = new InputWriter(openSync(at("replies"), constants.O_WRONLY | constants.O_NONBLOCK));
    const output = makeOutputFifo(at("output"));
    this.#lines = new LineSplitter((line) => {
      this.#lastLine = line;
      options.onLog("output", line);
    });
    this.#output = new FifoReader(output.ourFd, (bytes) => this.#lines.push(bytes));
    const srun = options.srun.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    try {
      this.#process = spawnTied(
        [...options.interpreter, at("host.lua"), at("requests"), at("replies"), options.script, srun, join(dir, "command")],
        { files: ["null", output.taskFd, output.taskFd], env: withoutLuaInit(options.env), cwd: "/" },
      );
    } finally {
      closeSync(output.taskFd);
    }
    void this.#process.exited.then((status) => this.#ended(status)); // never rejects
  }

  get isAlive(): boolean {
    return !this.#hasEnded;
  }

  /** One call of a function of the script. @throws BerthError SCRUN_LUA, SCRUN_LUA_TIMEOUT, the signal's reason; it is killed in the last two */
  async call(name: string, fields: readonly string[], limits: Limits): Promise<string[]> {
    void this.#replies.write(packFields(fields)); // read at once, or never, if it has ended
    return await this.#answer(`${name} of ${this.#options.script}`, limits);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.killGroup();
    await this.#process.exited;
    this.#replies.close();
    this.#letGo();
    await Promise.all([this.#requests.close(), this.#output.close()]);
    rmSync(this.#options.dir, { recursive: true, force: true });
  }

  async #answer(what: string, { signal, timeoutMs }: Limits): Promise<string[]> {
    if (this.#hasEnded) throw new BerthError("SCRUN_LUA", `${what}: its interpreter has ended`);
    const waiting = Promise.withResolvers<string[]>();
    this.#waiting = waiting;
    let stopped: unknown;
    const stop = (reason: unknown) => {
      stopped ??= reason;
      this.#process.killGroup(); // its end is the answer
    };
    const timer = setTimeout(() => {
      const hint = "a longer limit, in seconds: SCRUN_STAGING_TIMEOUT";
      stop(new BerthError("SCRUN_LUA_TIMEOUT", `${what} did not end within ${timeoutMs / 1000} s and was killed`, { hint }));
    }, timeoutMs);
    const onAbort = () => stop(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      if (signal.aborted) onAbort();
      return await waiting.promise;
    } catch (error) {
      throw stopped ?? new BerthError("SCRUN_LUA", `${what}: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      this.#waiting = undefined;
    }
  }

  #hear(bytes: Uint8Array): void {
    this.#letGo();
    let messages: string[][];
    try {
      messages = this.#fields.push(bytes);
    } catch {
      this.#lastLine = "the script has written to what was not its own";
      this.#process.killGroup();
      return;
    }
    for (const message of messages) {
      const [kind = "", first = "", second = ""] = message;
      if (kind === "log") this.#options.onLog(first, second);
      else if (kind === "loaded" || kind === "failed" || kind === "returned" || kind === "raised") this.#waiting?.resolve(message);
      else void this.#replies.write(packFields(answerQuestion(kind, first)));
    }
  }

  /** It has opened the channel. */
  #letGo(): void {
    for (const fd of this.#held) closeSync(fd);
    this.#held = [];
  }

  async #ended(status: ExitStatus): Promise<void> {
    this.#letGo();
    await Promise.race([Promise.all([this.#requests.done, this.#output.done]), Bun.sleep(DRAIN_MS)]);
    this.#lines.end();
    this.#hasEnded = true;
    const how =
      status.kind === "signaled"
        ? `was killed by ${signalName(status.signal)}`
        : `ended with status ${status.kind === "exited" ? status.code : "?"}`;
    this.#waiting?.reject(new Error(`the interpreter ${how}${this.#lastLine === "" ? "" : `: ${this.#lastLine}`}`));
  }
}

const FILES = ["host.lua", "requests", "replies", "output"] as const;

/** Code for every start of an interpreter; a script is loaded without it by Slurm. */
function withoutLuaInit(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("LUA_INIT")));
}
