/** `sbatch` on the site's Slurm: a script that asks for a container is submitted with a shell in front (task/batch-script.ts). */
import { basename } from "node:path";
import { readBundle } from "#container/bundle.ts";
import { checkBatchScript, wrapScript } from "#options/batch-script.ts";
import { takeOptions, type TakenOptions } from "#options/take-options.ts";
import { ContainerRecords } from "../accounting/container-records.ts";
import { addCourierRecord, startCourierIfNeeded } from "../cache/courier-records.ts";
import { nodeCache } from "../cache/stage.ts";
import { getSiteProgram } from "../programs.ts";
import { wrapBatchScript } from "../task/batch-script.ts";
import {
  awaitingTaskLine,
  batchTaskLine,
  containerRequest,
  isNative,
  refuseInComponents,
  requestComment,
  siteEnvironment,
  TAKEN,
} from "./container-request.ts";
import { readDirectives, SBATCH_AND_OWN_ROWS } from "./directives.ts";
import { ScriptFile } from "./script-file.ts";
import type { SiteCall } from "./site-call.ts";
import { helpGuess } from "./site-help.ts";
import { chooseTransfer } from "./transfer.ts";

export interface SbatchCall extends SiteCall, Disposable {
  /** The script is a temporary file: to be disposed of when sbatch has ended. */
  readonly isTemporary: boolean;
  /** To be told of the job's number, which sbatch prints. */
  readonly onSubmitted?: (jobId: number) => void;
}

type ReadScript = (name: string | null) => Promise<string | undefined>;

/** @param readScript the text of the script file of this name, of standard input for null; undefined when it cannot be read */
export async function siteSbatch(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  readScript: ReadScript,
): Promise<SbatchCall> {
  const program = getSiteProgram("sbatch");
  const guess = helpGuess(program);
  const take = (parts: readonly string[]) => takeOptions(SBATCH_AND_OWN_ROWS, parts, { take: [...TAKEN, "wrap"], guess });
  const words = take(argv);
  const asIs = (words: readonly string[]): SbatchCall => ({
    program,
    argv: ["sbatch", ...words],
    env,
    isTemporary: false,
    [Symbol.dispose]: () => undefined,
  });
  if (isNative(words.taken, env)) return asIs(argv.filter((word) => word !== "--native"));
  if (["help", "version", "usage"].some((name) => words.given.has(name))) return asIs(argv);
  refuseInComponents(words, take, env["SBATCH_CONTAINER"] !== undefined);
  const wrap = words.taken.get("wrap");
  const [name = null] = words.rest;
  const mayAsk = words.taken.has("container") || env["SBATCH_CONTAINER"] !== undefined;
  if (wrap !== undefined && words.rest.length > 0) return asIs(argv); // sbatch has the right words for it
  if (name === null && wrap === undefined && !mayAsk) return await fromStdin(asIs, argv, { readScript, env, program, words, guess });
  const script = wrap === undefined ? await readScript(name) : wrapScript(wrap);
  if (script === undefined) return asIs(argv); // sbatch says why it cannot be opened
  return wrapped({ script, program, words, env, name: wrap === undefined ? name : "wrap", guess }) ?? asIs(argv);
}

interface Facts {
  readonly program: string;
  readonly words: TakenOptions;
  readonly env: Readonly<Record<string, string>>;
  readonly guess: (option: string) => boolean;
}

/** What was read from standard input must reach sbatch all the same, as a file of its own name. */
async function fromStdin(
  asIs: (words: readonly string[]) => SbatchCall,
  argv: readonly string[],
  { readScript, ...facts }: Facts & { readonly readScript: ReadScript },
): Promise<SbatchCall> {
  const script = (await readScript(null)) ?? "";
  const call = wrapped({ ...facts, script, name: null });
  if (call !== undefined) return call;
  const file = new ScriptFile("sbatch", script);
  return { ...asIs([...argv, file.path]), isTemporary: true, [Symbol.dispose]: () => file[Symbol.dispose]() };
}

function wrapped({
  script,
  program,
  words,
  env,
  name,
  guess,
}: Facts & { readonly script: string; readonly name: string | null }): SbatchCall | undefined {
  const directives = readDirectives(script, guess);
  const request = containerRequest(words.taken, "SBATCH", env, directives.taken);
  if (request === undefined) return undefined;
  checkBatchScript(script, env);
  const isGiven = (option: string) => words.given.has(option) || directives.given.has(option);
  const transfer = chooseTransfer(request.bundle, new Map([...directives.taken, ...words.taken]), env);
  if (transfer !== "none") readBundle(request.bundle); // what cannot be sent is refused here
  const token = crypto.randomUUID();
  const line = (firstLine: string) =>
    transfer === "none" ? batchTaskLine(request, firstLine) : awaitingTaskLine({ cache: nodeCache(env), token }, firstLine);
  const { text } = wrapBatchScript(script, line, directives.lines);
  const file = new ScriptFile(name === null ? "sbatch" : basename(name), text);
  // A comment of the user's own stays his alone.
  const hasComment = isGiven("comment");
  const comment = hasComment ? [] : [`--comment=${requestComment(request)}`];
  const facts = { container: request.bundle, id: request.containerId, annotations: {} };
  const onSubmitted = (jobId: number) => {
    if (hasComment) new ContainerRecords(env).write(String(jobId), facts);
    if (transfer === "none") return;
    addCourierRecord(jobId, { bundle: request.bundle, isCopy: transfer === "copy", token, env });
    startCourierIfNeeded();
  };
  return {
    ...(hasComment || transfer !== "none" ? { onSubmitted } : {}),
    program,
    env: siteEnvironment(env, request),
    isTemporary: true,
    argv: ["sbatch", ...words.kept, ...comment, file.path, ...words.rest.slice(1)],
    [Symbol.dispose]: () => file[Symbol.dispose](),
  };
}
