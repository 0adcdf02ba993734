/**
 * The streams of one task: files, FIFOs to the client, or a terminal, which is made here or by a container's runtime that sends it
 * through a console socket. What the task writes is pumped to the client; the daemon's own words go where its standard error goes.
 */
import { ConsoleSocket, openTerminal } from "#platform/console-socket.ts";
import { pumpOutput } from "#platform/pipes.ts";
import type { TaskStreams, TerminalHandle } from "#platform/spawn.ts";
import { appendBytes, type OpenedStreams } from "./stdio.ts";
import type { OutputStream, TaskHost } from "./task-host.ts";

export class TaskStdio {
  readonly #host: Pick<TaskHost, "plan" | "streams" | "expand" | "output">;
  readonly #rank: number;
  #streams: OpenedStreams | undefined;
  #terminal: TerminalHandle | undefined;
  #console: ConsoleSocket | undefined;
  #pumps: Promise<void> = Promise.resolve();

  constructor(host: Pick<TaskHost, "plan" | "streams" | "expand" | "output">, rank: number) {
    this.#host = host;
    this.#rank = rank;
  }

  /** Resolves when the last process that could write has closed the streams. */
  get drained(): Promise<void> {
    return this.#pumps;
  }

  /** Those of a task that another daemon started. */
  reopen(): void {
    this.#streams = this.#host.streams.reopen(this.#rank, this.#host.plan, (pattern) => this.#host.expand(pattern, this.#rank));
    this.startPumps();
  }

  /** The task has its ends, or never will. */
  closeTaskEnds(): void {
    this.#streams?.closeTaskEnds();
  }

  closeInput(): void {
    this.#streams?.stdin.writer?.close();
  }

  /** Gives the path of the socket to which the runtime may send the task's terminal. */
  openConsole(): string {
    this.#console = new ConsoleSocket(`${this.#host.plan.socketPath}.tty`);
    return this.#console.path;
  }

  useTerminal(terminal: TerminalHandle): void {
    this.#terminal = terminal;
  }

  /** The create command of a container that makes its own terminal: only what it says comes through. */
  openForCreate(): void {
    this.#streams = this.#host.streams.open(
      this.#rank,
      { stdin: { kind: "null" }, stdout: { kind: "null" }, stderr: { kind: "client" } },
      (pattern) => pattern,
    );
  }

  closeConsole(): void {
    this.#console?.[Symbol.dispose]();
    this.#console = undefined;
  }

  /** Takes the terminal that the create command has sent. */
  receiveTerminal(): void {
    const { terminal } = this.#host.plan;
    const master = this.#console?.receive();
    this.closeConsole();
    if (master === undefined || terminal === null) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#terminal = openTerminal(master, { ...terminal, onClose: resolve, onOutput: (bytes) => this.#terminalOutput(bytes) });
    this.#pumps = Promise.all([this.#pumps, promise]).then(() => undefined);
  }

  #terminalOutput(bytes: Uint8Array): void {
    // The terminal's data belongs to Bun only for the call.
    void this.#host.output(this.#rank, "stdout", bytes.slice());
  }

  get hasTerminal(): boolean {
    return this.#host.plan.terminal !== null && this.#rank === 0;
  }

  /** @throws StreamError */
  open(): void {
    if (this.hasTerminal) return;
    const { plan, streams } = this.#host;
    this.#streams = streams.open(this.#rank, plan, (pattern) => this.#host.expand(pattern, this.#rank));
  }

  forTask(): TaskStreams {
    const { terminal } = this.#host.plan;
    if (this.hasTerminal && terminal !== null && this.#console === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#pumps = promise;
      return {
        kind: "terminal",
        ...terminal,
        onClose: resolve,
        onOutput: (bytes) => this.#terminalOutput(bytes),
      };
    }
    const opened = this.#streams;
    if (opened === undefined) throw new Error("streams are not open");
    return { kind: "files", stdin: opened.stdin.taskFd, stdout: opened.stdout.taskFd, stderr: opened.stderr.taskFd };
  }

  startPumps(): void {
    if (this.#streams === undefined) return;
    const pump = (fd: number | null, stream: OutputStream) =>
      fd === null ? Promise.resolve() : pumpOutput(fd, (bytes) => this.#host.output(this.#rank, stream, bytes));
    this.#pumps = Promise.all([pump(this.#streams.stdout.ourFd, "stdout"), pump(this.#streams.stderr.ourFd, "stderr")]).then(
      () => undefined,
    );
  }

  /** A message of the step daemon's own on the task's standard error. */
  say(line: string): void {
    this.emit("stderr", Buffer.from(`${line}\n`));
  }

  emit(stream: OutputStream, bytes: Uint8Array): void {
    const output = this.#streams?.[stream];
    if (output?.file != null) appendBytes(output.file, bytes);
    else if (output?.taskFd !== "null") void this.#host.output(this.#rank, stream, bytes);
  }

  /** Resolves when the bytes are on their way to the task. */
  async writeInput(bytes: Uint8Array): Promise<void> {
    if (this.#terminal !== undefined) this.#terminal.write(bytes);
    else await this.#streams?.stdin.writer?.write(bytes);
  }

  async endInput(): Promise<void> {
    await this.#streams?.stdin.writer?.end();
  }

  resize(size: { readonly rows: number; readonly columns: number }): void {
    this.#terminal?.resize(size.columns, size.rows);
  }
}
