/** `salloc` on the site's Slurm: with a container its command becomes the job's interactive step, in the container. */
import { BerthError } from "#job/errors.ts";
import { SALLOC_ROWS } from "#options/salloc.ts";
import { takeOptions } from "#options/take-options.ts";
import { selfOnDisk } from "#platform/self.ts";
import { getSiteProgram } from "../programs.ts";
import {
  containerRequest,
  isNative,
  OWN_ROWS,
  refuseInComponents,
  requestComment,
  siteEnvironment,
  TAKEN,
  taskCommand,
} from "./container-request.ts";
import type { SiteCall } from "./site-call.ts";
import { helpGuess } from "./site-help.ts";
import { chooseTransfer } from "./transfer.ts";

export function siteSalloc(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  options: { readonly hasTerminal: boolean },
): SiteCall {
  const program = getSiteProgram("salloc");
  const take = (words: readonly string[]) => takeOptions([...SALLOC_ROWS, ...OWN_ROWS], words, { take: TAKEN, guess: helpGuess(program) });
  const words = take(argv);
  const { kept, taken, given, rest } = words;
  if (isNative(taken, env)) return { program, argv: ["salloc", ...argv.filter((word) => word !== "--native")], env };
  refuseInComponents(words, take, env["SALLOC_CONTAINER"] !== undefined);
  const asked = given.has("help") || given.has("version") || given.has("usage") ? undefined : containerRequest(taken, "SALLOC", env);
  if (asked === undefined) return { program, argv: ["salloc", ...argv], env };
  if (given.has("no-shell")) {
    throw new BerthError("NOT_SUPPORTED", "--no-shell runs nothing, so --container has nothing to hold", {
      hint: "give --container to the srun that follows",
    });
  }
  const request = { ...asked, isJobs: true };
  const command = rest.length > 0 ? rest : [env["SHELL"] ?? "/bin/sh"];
  const stepWords = ["--interactive", "--preserve-env", "--nodes=1", "--ntasks=1", "--mpi=none", ...(options.hasTerminal ? ["--pty"] : [])];
  const transfer = chooseTransfer(request.bundle, taken, env);
  const step =
    transfer !== "none"
      ? selfOnDisk(
          "stage",
          "--bundle",
          request.bundle,
          "--transfer",
          transfer,
          "--of",
          "job",
          "--words",
          String(stepWords.length),
          ...stepWords,
          ...command,
        )
      : [getSiteProgram("srun"), ...stepWords, ...taskCommand(request, command)];
  const comment = given.has("comment") ? [] : [`--comment=${requestComment(request)}`];
  return { program, argv: ["salloc", ...kept, ...comment, ...step], env: siteEnvironment(env, request) };
}
