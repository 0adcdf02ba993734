/**
 * Bundle and executable to the nodes of the allocation that we are in, each once per node:
 *
 *   probe step ─► every node shares the files ─► run them where they are
 *             └─► the nodes that lack one get it through a step's standard input ─► run from the caches
 */
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import { realUserId } from "#platform/users.ts";
import { captureOutput, spawnForeground } from "#platform/spawn.ts";
import { siteWords } from "../programs.ts";
import { quote, taskCommand, taskWords } from "../site/container-request.ts";
import { archiveCommand, describeCargo, type Cargo } from "./cargo.ts";
import { PROBE, RECEIVE, START_CACHED } from "./node-scripts.ts";

type Env = Readonly<Record<string, string>>;
type Presence = "shared" | "cached" | "lacks";
interface NodeAnswer {
  readonly node: string;
  readonly bundle: Presence;
  readonly executable: Presence;
}

/** `BERTH_NODE_CACHE`, on the nodes; `%n` in it is the node's name. */
export function nodeCache(env: Env): string {
  return env["BERTH_NODE_CACHE"] ?? `/tmp/berth-${realUserId()}/cache`;
}

export interface DeliveryOptions {
  readonly env: Env;
  readonly executable: string;
  /** Into the caches even where the files are shared. */
  readonly isCopy: boolean;
  /** Which nodes of the job; a number is all of them, so many. */
  readonly nodes: readonly string[] | number;
  readonly signal: AbortSignal;
}

/** Where the nodes have bundle and executable: where they are here, or in their caches, under these digests. */
export type Delivered =
  | { readonly kind: "shared" }
  | { readonly kind: "cached"; readonly cache: string; readonly executableSha: string; readonly bundleSha: string };

/** Brings to the nodes what they lack. `env` names the job. @throws BerthError BUNDLE_*, TRANSFER */
export async function deliver(bundle: string, { env, executable, isCopy, nodes, signal }: DeliveryOptions): Promise<Delivered> {
  const cargo = await describeCargo(bundle, executable, { signal });
  const cache = nodeCache(env);
  const answers = await probe(isCopy ? { ...cargo, rootfs: "/nonexistent", executable: "/nonexistent" } : cargo, { cache, env, nodes });
  if (!isCopy && answers.every((answer) => answer.bundle === "shared" && answer.executable === "shared")) return { kind: "shared" };
  // Where one thing comes from the cache, all do: the words are the same for all nodes.
  await send(
    "berth",
    cargo.executableSha,
    answers.filter((answer) => answer.executable !== "cached"),
    { cache, env, source: `< ${quote(cargo.executable)}` },
  );
  const archive = archiveCommand(bundle).map(quote).join(" ");
  await send(
    "bundle",
    cargo.bundleSha,
    answers.filter((answer) => answer.bundle !== "cached"),
    { cache, env, source: archive },
  );
  return { kind: "cached", cache, executableSha: cargo.executableSha, bundleSha: cargo.bundleSha };
}

/** The words that run `command` in the container on every node of the allocation. @throws BerthError BUNDLE_*, TRANSFER */
export async function stageAndWrap(
  bundle: string,
  command: readonly string[],
  /** `isJobs`: it is the job's container, not only the step's. */
  { isJobs, ...options }: Omit<DeliveryOptions, "nodes"> & { readonly isJobs: boolean },
): Promise<string[]> {
  const nodes = Number(options.env["SLURM_JOB_NUM_NODES"] ?? options.env["SLURM_NNODES"] ?? 1);
  const found = await deliver(bundle, { ...options, nodes });
  if (found.kind === "shared") return taskCommand({ bundle, containerId: null, isJobs }, command);
  return ["/bin/sh", "-c", START_CACHED, "sh", found.cache, found.executableSha, found.bundleSha, ...taskWords({ isJobs }), ...command];
}

/** One task on each node, beside whatever runs there. */
export function stepWords(nodes: readonly string[] | number): string[] {
  const count = typeof nodes === "number" ? nodes : nodes.length;
  return [
    ...siteWords("srun"),
    "--quiet",
    "--overlap",
    `--nodes=${count}`,
    `--ntasks=${count}`,
    "--ntasks-per-node=1",
    "--cpus-per-task=1",
    "--mpi=none",
    "--job-name=berth-cache",
    ...(typeof nodes === "number" ? [] : [`--nodelist=${nodes.join(",")}`]),
  ];
}

async function probe(
  cargo: Cargo,
  { cache, env, nodes }: { readonly cache: string; readonly env: Env; readonly nodes: readonly string[] | number },
): Promise<readonly NodeAnswer[]> {
  const count = typeof nodes === "number" ? nodes : nodes.length;
  const { stdout, status } = await captureOutput(
    [
      ...(stepWords(nodes) as [string, ...string[]]),
      "--input=none",
      "/bin/sh",
      "-c",
      PROBE,
      "sh",
      cache,
      cargo.bundle,
      cargo.rootfs,
      cargo.configSha,
      cargo.bundleSha,
      cargo.executable,
      cargo.executableStamp,
      cargo.executableSha,
    ],
    env,
  );
  const answers = [...stdout.matchAll(/^berth-cache (\S+) (shared|cached|lacks) (shared|cached|lacks)$/gm)].map(
    ([, node = "", bundle, executable]): NodeAnswer => ({ node, bundle: bundle as Presence, executable: executable as Presence }),
  );
  if (shellCode(status) !== 0 || answers.length !== count) {
    throw new BerthError("TRANSFER", `Cannot ask the nodes what they have: ${answers.length} of ${count} answered`, {
      hint: "see above what srun said; --transfer=never starts without asking",
    });
  }
  return answers;
}

export async function send(
  kind: "berth" | "bundle",
  sha: string,
  lacking: readonly { readonly node: string }[],
  { cache, env, source }: { readonly cache: string; readonly env: Env; readonly source: string },
): Promise<void> {
  if (lacking.length === 0) return;
  const nodes = lacking.map(({ node }) => node);
  const srun = [...stepWords(nodes), "--input=all", "/bin/sh", "-c", RECEIVE, "sh", cache, kind, sha].map(quote).join(" ");
  const line = source.startsWith("<") ? `exec ${srun} ${source}` : `${source} | ${srun}`;
  const status = await spawnForeground(["/bin/sh", "-c", line], env).exited;
  if (shellCode(status) === 0) return;
  throw new BerthError("TRANSFER", `Cannot send the ${kind === "berth" ? "Berth executable" : "bundle"} to ${nodes.join(",")}`, {
    hint: "see above what the nodes said",
  });
}
