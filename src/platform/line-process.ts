/** A helper process of our own that we talk with in lines: we write to its standard input and read its standard output. */
import { closeSync, openSync } from "node:fs";
import { registerChild } from "./orphans.ts";

export class LineProcess {
  readonly #process: Bun.Subprocess<"pipe", "pipe", number>;
  readonly #reading: Promise<void>;

  /** It leads its own session; nothing of our environment is inherited. */
  constructor(
    argv: readonly [string, ...string[]],
    options: {
      readonly env: Readonly<Record<string, string>>;
      readonly logFile: string;
      readonly onLine: (line: string) => void;
      /** After the last line. */
      readonly onExit: () => void;
    },
  ) {
    const log = openSync(options.logFile, "a", 0o600);
    try {
      this.#process = Bun.spawn([...argv], { cwd: "/", env: { ...options.env }, stdio: ["pipe", "pipe", log], detached: true });
    } finally {
      closeSync(log);
    }
    registerChild(this.#process, "tool");
    this.#reading = this.#read(options.onLine).then(options.onExit);
  }

  /** False when it has ended. */
  write(text: string): boolean {
    if (this.#hasEnded) return false;
    try {
      this.#process.stdin.write(text);
      this.#process.stdin.flush();
      return true;
    } catch {
      return false; // EPIPE: it is ending
    }
  }

  /** Waits so long for its end, then kills it. */
  async stop(patienceMs: number): Promise<void> {
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), patienceMs);
    try {
      await this.#process.exited;
      await this.#reading;
    } finally {
      clearTimeout(timer);
    }
  }

  get #hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  async #read(onLine: (line: string) => void): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of this.#process.stdout) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) onLine(line);
    }
  }
}
