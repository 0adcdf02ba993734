/** Calling the site's commands for their answers. */
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import { runChild, type Result } from "#platform/child.ts";
import { spawnPiped, type PipedProcess } from "#platform/piped-process.ts";
import { siteError } from "./errors.ts";
import { siteWords } from "./programs.ts";

const TIMEOUT_MS = 120_000;
/** Listings of a large site are long. */
const MAX_OUTPUT_BYTES = 256 << 20;

export type Environment = Readonly<Record<string, string>>;

export class SiteCommands {
  readonly #env: Environment;
  readonly #timeoutMs: number;

  /** @param env ours; what a job gets is said with each call */
  constructor(env: Readonly<Record<string, string | undefined>>, { timeoutMs = TIMEOUT_MS }: { readonly timeoutMs?: number } = {}) {
    this.#timeoutMs = timeoutMs;
    const kept: Record<string, string> = {};
    for (const [name, value] of Object.entries(env)) {
      // Options of the user's own commands must not change what we ask.
      if (
        value !== undefined &&
        !/^(SQUEUE|SINFO|SACCT|SCONTROL|SBATCH|SALLOC|SRUN)_/.test(name) &&
        name !== "SLURM_TIME_FORMAT" &&
        name !== "SLURM_CLUSTERS"
      )
        kept[name] = value;
    }
    this.#env = kept;
  }

  get conf(): string | undefined {
    return this.#env["SLURM_CONF"];
  }

  /** Standard output. @throws BerthError when it fails */
  async ask(command: string, args: readonly string[], options: { readonly signal: AbortSignal }): Promise<string> {
    const result = await this.call(command, args, options);
    if (shellCode(result.status) !== 0) throw siteError(command, `${result.stdout}\n${result.stderr}`);
    return result.stdout;
  }

  async call(
    command: string,
    args: readonly string[],
    { signal, env, cwd }: { readonly signal: AbortSignal; readonly env?: Environment; readonly cwd?: string },
  ): Promise<Result> {
    signal.throwIfAborted();
    const result = await runChild([...siteWords(command), ...args], {
      env: env === undefined ? this.#env : this.jobEnvironment(env),
      cwd: cwd ?? "/",
      signal,
      timeoutMs: this.#timeoutMs,
      maxOutputBytes: MAX_OUTPUT_BYTES,
    });
    // Slurm's commands try for a minute where there is nobody; what they said meanwhile tells why.
    if (result.isTimedOut && result.stderr.trim() !== "") throw siteError(command, result.stderr);
    if (result.isTimedOut)
      throw new BerthError("CONTROLLER_DOWN", `${command} has not answered for ${this.#timeoutMs / 1000} s`, {
        hint: 'see "scontrol ping"',
      });
    return result;
  }

  start(command: string, args: readonly string[], { env }: { readonly env: Environment }): PipedProcess {
    return spawnPiped([...siteWords(command), ...args], { env: this.jobEnvironment(env), cwd: "/" });
  }

  /** A job's environment, and which cluster is asked. */
  jobEnvironment(env: Environment): Environment {
    const conf = this.#env["SLURM_CONF"];
    return conf === undefined ? env : { ...env, SLURM_CONF: conf };
  }
}
