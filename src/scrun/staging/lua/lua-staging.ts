/** Staging by a site's scrun.lua: what its two functions get, and what their answers mean (spec: scrun §14.2, §14.3). */
import { isAbsolute } from "node:path";
import type { Log } from "../../log.ts";
import type { StagedIn, StagedOut, Staging, StagingContext, StagingPlan } from "../staging.ts";
import { LuaHost, type Limits } from "./lua-host.ts";
import { srunCommand } from "./srun-command.ts";

/** What a Lua error counts as: exit status 255. */
const RAISED = -1;

export interface LuaStagingOptions {
  readonly plan: StagingPlan;
  readonly environment: Readonly<Record<string, string>>;
  /** Private to the container. */
  readonly dir: string;
  readonly log: Log;
}

/** Reads the script. @throws BerthError SCRUN_LUA, SCRUN_LUA_TIMEOUT */
export async function openLuaStaging(options: LuaStagingOptions, { signal }: { readonly signal: AbortSignal }): Promise<Staging> {
  return new LuaStaging(options, await startHost(options, limitsOf(options, signal)));
}

class LuaStaging implements Staging {
  readonly #options: LuaStagingOptions;
  #host: LuaHost;

  constructor(options: LuaStagingOptions, host: LuaHost) {
    this.#options = options;
    this.#host = host;
  }

  async stageIn(context: StagingContext, { signal }: { readonly signal: AbortSignal }): Promise<StagedIn> {
    const name = "slurm_scrun_stage_in";
    const answer = await this.#call(name, ["stage_in", ...fieldsOf(context)], limitsOf(this.#options, signal));
    const { status, message, bundle, rootPath } = answer;
    const wrong = [bundle, rootPath].find((path) => !isAbsolute(path));
    if (status === 0 && wrong !== undefined) {
      return { status: RAISED, bundle, rootPath, message: `${name} of ${this.#script} gave a path that is not absolute: "${wrong}"` };
    }
    return { status, bundle, rootPath, ...(message === undefined ? {} : { message }) };
  }

  /** In a new interpreter when the first one was killed: what it had begun has to be cleared away. */
  async stageOut(context: StagingContext, { signal }: { readonly signal: AbortSignal }): Promise<StagedOut> {
    const limits = limitsOf(this.#options, signal);
    if (!this.#host.isAlive) {
      await this.#host[Symbol.asyncDispose]();
      this.#host = await startHost(this.#options, limits);
    }
    const { status, message } = await this.#call("slurm_scrun_stage_out", ["stage_out", ...fieldsOf(context)], limits);
    return { status, ...(message === undefined ? {} : { message }) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#host[Symbol.asyncDispose]();
  }

  get #script(): string {
    return this.#options.plan.script;
  }

  async #call(name: string, fields: readonly string[], limits: Limits): Promise<StagedIn> {
    const [kind, first = "", type = "", bundle = "", rootPath = ""] = await this.#host.call(name, fields, limits);
    if (kind === "raised") return { status: RAISED, bundle, rootPath, message: `${name} failed: ${first}` };
    if (first === "none") {
      this.#options.log.debug(`lua: ${name} returned ${type}, not a number: taken for success`);
      return { status: 0, bundle, rootPath };
    }
    const status = Number(first);
    return { status, bundle, rootPath, ...(status === 0 ? {} : { message: `${name} of ${this.#script} returned ${first}` }) };
  }
}

async function startHost({ plan, environment, dir, log }: LuaStagingOptions, limits: Limits): Promise<LuaHost> {
  return await LuaHost.start(
    {
      interpreter: plan.interpreter,
      script: plan.script,
      dir,
      env: environment,
      srun: await srunCommand(environment),
      onLog: (level, text) => say(log, level, `lua: ${text}`, text),
    },
    limits,
  );
}

function say(log: Log, level: string, text: string, bare: string): void {
  if (level === "error") log.error(text);
  else if (level === "user") log.info(bare);
  else if (level === "output" || level === "0") log.info(text);
  else if (level === "1") log.verbose(text);
  else log.debug(text);
}

function limitsOf({ plan }: LuaStagingOptions, signal: AbortSignal): Limits {
  return { signal, timeoutMs: plan.timeoutSeconds * 1000 };
}

/** In the order of fields.ts. */
function fieldsOf(context: StagingContext): string[] {
  return [
    context.id,
    ...[context.jobId, context.userId, context.groupId].map(String),
    context.spoolDir,
    context.configFile,
    context.originalBundle,
    context.bundle,
    context.originalRootPath,
    context.rootPath,
    ...context.jobEnvironment,
  ];
}
