/**
 * An allocation that we hold: the site's own salloc, with a shell that prints its environment and waits.
 *
 *   salloc … sh -c 'env -0; …; read code; exit $code'
 *            └ our pipe: a number ends the allocation, its end does too, so that it never outlives us
 */
import { type BerthError, slurmError } from "#job/errors.ts";
import type { JobId } from "#job/id.ts";
import type { ExitPair } from "#job/outcome.ts";
import { linesOf, type PipedProcess } from "#platform/piped-process.ts";
import { siteError } from "./errors.ts";

const HOLD = "env -0; printf '\\0BERTH\\n'; read -r code || code=0; exit \"$code\"";
export const HOLD_COMMAND = ["/bin/sh", "-c", HOLD] as const;
const END_MARK = "\0BERTH\n";
/** Until the next SIGTERM to a salloc that has not ended. */
const AGAIN_MS = 250;
const SIGTERM = 15;
const SIGKILL = 9;

export interface Granted {
  readonly jobId: JobId;
  readonly environment: Readonly<Record<string, string>>;
  readonly waited: boolean;
}

export class SallocProcess {
  readonly #salloc: PipedProcess;
  #said = "";
  #jobId: JobId | undefined;

  constructor(salloc: PipedProcess) {
    this.#salloc = salloc;
  }

  get jobId(): JobId | undefined {
    return this.#jobId;
  }

  /** @throws BerthError when it is refused, or ended while it waited; the signal's reason when it was withdrawn */
  async granted({
    signal,
    onQueued,
  }: {
    readonly signal: AbortSignal;
    readonly onQueued: (jobId: JobId, configUnavailable: boolean) => void;
  }): Promise<Granted> {
    const words = this.#readWords(onQueued);
    const onAbort = () => this.#withdraw();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      const text = await this.#readUntilMark();
      if (text === undefined) {
        await words.done;
        signal.throwIfAborted();
        throw this.#refusal();
      }
      const environment = parseEnvironment(text);
      const jobId = Number(environment["SLURM_JOB_ID"]) as JobId;
      this.#jobId = jobId;
      return { jobId, environment, waited: words.hasWaited() };
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /**
   * salloc takes its job back when it is terminated. One SIGTERM is not enough: when it comes between salloc's last look at its
   * flag and its sleep, salloc notes it and sleeps on.
   */
  #withdraw(): void {
    this.#salloc.kill(SIGTERM);
    const again = setInterval(() => this.#salloc.kill(SIGTERM), AGAIN_MS);
    void this.#salloc.exited.finally(() => clearInterval(again));
  }

  #refusal(): BerthError {
    if (this.#jobId !== undefined && /revoked|cancelled/i.test(this.#said))
      return slurmError("ALREADY_DONE", { before: [String(this.#jobId)] });
    return siteError("salloc", this.#said);
  }

  async #readUntilMark(): Promise<string | undefined> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.#salloc.stdout) {
      chunks.push(chunk);
      const text = Buffer.concat(chunks).toString("utf8");
      if (text.endsWith(END_MARK)) return text.slice(0, -END_MARK.length);
    }
    return undefined;
  }

  #readWords(onQueued: (jobId: JobId, configUnavailable: boolean) => void): {
    readonly done: Promise<void>;
    readonly hasWaited: () => boolean;
  } {
    let hasWaited = false;
    const read = async () => {
      for await (const line of linesOf(this.#salloc.stderr)) {
        const text = line.toString("utf8");
        if (this.#said.length < 1 << 16) this.#said += text;
        const pending = /Pending job allocation (\d+)/.exec(text);
        if (pending === null) continue;
        hasWaited = true;
        this.#jobId = Number(pending[1]) as JobId;
        onQueued(this.#jobId, this.#said.includes("configuration not available"));
      }
    };
    return { done: read(), hasWaited: () => hasWaited };
  }

  async release({ code }: ExitPair): Promise<void> {
    this.#salloc.write(Buffer.from(`${code}\n`));
    this.#salloc.endInput();
    await this.#salloc.exited;
  }

  /** salloc is not asked: it would end the job. */
  async abandon(): Promise<void> {
    this.#salloc.kill(SIGKILL);
    await this.#salloc.exited;
  }
}

function parseEnvironment(text: string): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const entry of text.split("\0")) {
    const equals = entry.indexOf("=");
    if (equals > 0) variables[entry.slice(0, equals)] = entry.slice(equals + 1);
  }
  return variables;
}
