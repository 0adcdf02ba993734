/** `berth stage`: in an allocation of the site's Slurm, brings a bundle to its nodes and becomes the step that runs in it. Started by berth srun. */
import { stageAndWrap } from "#engine/slurm/cache/stage.ts";
import { getSiteProgram } from "#engine/slurm/programs.ts";
import { forgetsNodeFailures, runWatched } from "#engine/slurm/site/watched-srun.ts";
import { replaceProcess } from "#platform/exec.ts";
import { selfOnDisk, selfPath } from "#platform/self.ts";
import { BerthError } from "#job/errors.ts";
import { UsageError } from "#options/usage-error.ts";
import { environment } from "./context.ts";

export async function stage(argv: readonly string[]): Promise<number> {
  if (argv[0] === "--courier") return await courier();
  const [bundleOption, bundle, transferOption, transfer, ofOption, of, wordsOption, count, ...words] = argv;
  if (
    bundleOption !== "--bundle" ||
    bundle === undefined ||
    transferOption !== "--transfer" ||
    ofOption !== "--of" ||
    wordsOption !== "--words" ||
    !/^\d+$/.test(count ?? "")
  ) {
    throw new UsageError(
      ["Usage: berth stage --bundle DIR --transfer lacking|copy --of job|step --words N SRUN-OPTIONS… COMMAND [ARGUMENTS]"],
      255,
    );
  }
  const executable = getExecutable();
  const env = environment();
  const options = words.slice(0, Number(count));
  const wrapped = await stageAndWrap(bundle, words.slice(Number(count)), {
    env,
    executable,
    isCopy: transfer === "copy",
    isJobs: of === "job",
    signal: new AbortController().signal,
  });
  const call = { program: getSiteProgram("srun"), argv: ["srun", ...options, ...wrapped], env } as const;
  if (forgetsNodeFailures(call.program)) return await runWatched(call);
  return replaceProcess(call.program, call.argv, env);
}

/** The one process of this user on this host that brings bundles to batch jobs. */
async function courier(): Promise<number> {
  const stopped = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => stopped.abort(new Error("stopped")));
  process.on("SIGHUP", () => undefined);
  const { runCourier } = await import("#engine/slurm/cache/courier.ts");
  await runCourier(getExecutable(), stopped);
  return 0;
}

function getExecutable(): string {
  const executable = selfPath();
  if (executable !== undefined) return executable;
  throw new BerthError("NOT_COMPILED", `Only the built executable can be sent to nodes, not ${selfOnDisk().join(" ")}`, {
    hint: "run: npm run build",
  });
}
