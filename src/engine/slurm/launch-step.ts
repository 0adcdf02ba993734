/** Starts a step: the site's srun, with a container's task in place of the command when there is one. */
import { BerthError } from "#job/errors.ts";
import { parseStepKey } from "#job/id.ts";
import type { StepRecord } from "#job/record.ts";
import { shortHostName } from "#platform/directories.ts";
import type { Cancellable, StepRequest } from "../engine.ts";
import { ErrorPipe } from "./error-pipe.ts";
import { stepArgv } from "./job-argv.ts";
import { containerOf, taskCommand } from "./site/container-request.ts";
import type { SiteCommands } from "./site-commands.ts";
import { SlurmStepChannel } from "./step-channel.ts";
import { TOKEN_VARIABLE } from "./task/launch-failure.ts";

const never = new AbortController().signal;

export interface LaunchOptions extends Cancellable {
  readonly site: SiteCommands;
  readonly killWaitSeconds: () => Promise<number>;
  readonly onWaiting: (text: string) => void;
}

/** Resolves when the step exists. @throws BerthError when it cannot be made */
export async function launchStep(request: StepRequest, options: LaunchOptions): Promise<SlurmStepChannel> {
  if (request.hasTerminal !== null) {
    throw new BerthError("NOT_SUPPORTED", "A terminal cannot be passed through this engine's channel", {
      hint: "use berth srun --pty, which is Slurm's own",
    });
  }
  const { site, signal, onWaiting } = options;
  const { options: step, submit } = request;
  const container = containerOf(request);
  const command = container === undefined ? step.command : taskCommand(container, step.command);
  const token = crypto.randomUUID();
  const env = {
    ...submit.environment,
    ...(container === undefined ? {} : { SLURM_CONTAINER: container.bundle, [TOKEN_VARIABLE]: token }),
  };
  const isSingle = step.command.length > 0 && request.resources.tasks === 1 && (request.resources.nodesMin ?? 1) === 1;
  const killWaitSeconds = await options.killWaitSeconds();
  const errors = isSingle ? new ErrorPipe() : undefined;
  const streams = errors === undefined ? ["--label"] : ["--error", errors.path];
  const srun = site.start("srun", ["-v", ...streams, ...stepArgv(request), ...command], { env });
  const startedAt = Date.now() as StepRecord["startedAt"];
  return await SlurmStepChannel.open(srun, {
    signal,
    onWaiting,
    errors,
    token,
    control: {
      killWaitMs: killWaitSeconds * 1000,
      signal: async (stepId, number) => {
        await site.call("scancel", ["--signal", String(number), stepId], { signal: never });
      },
    },
    describe: (stepId, nodes) => describe(request, { stepId, nodes, startedAt, srunPid: srun.pid }),
  });
}

/** What its srun has told of a step; the rest Slurm knows. */
function describe(
  request: StepRequest,
  told: {
    readonly stepId: string;
    readonly nodes: ReadonlyMap<string, readonly number[]>;
    readonly startedAt: StepRecord["startedAt"];
    readonly srunPid: number;
  },
): StepRecord {
  const { stepId, nodes, startedAt, srunPid } = told;
  const [, key = "0"] = stepId.split(".");
  const tasksPerNode = [...nodes.values()].map((ranks) => ranks.length);
  const tasks = tasksPerNode.reduce((sum, count) => sum + count, 0);
  return {
    jobId: request.jobId,
    stepKey: parseStepKey(key.toLowerCase()) ?? 0,
    name: request.name,
    userId: process.getuid?.() ?? 0,
    userName: "",
    partition: "",
    state: "RUNNING",
    exit: { code: 0, signal: 0 },
    cancelledBy: null,
    startedAt,
    endedAt: null,
    suspendedMs: 0,
    timeLimitMinutes: request.timeLimitMinutes,
    nodes: [...nodes.keys()],
    tasksPerNode,
    cpus: tasks,
    tasks,
    allocated: null,
    distribution: null,
    srunHost: shortHostName(),
    srunPid,
    container: request.container,
    containerId: request.container === null ? null : request.containerId,
    submitLine: request.submit.submitLine,
    usage: null,
  };
}
