/** `berth info [JOB]`: which engine answers and why, and where things are; or what a job waits for, in words. */
import { enginePaths } from "#engine/embedded/paths.ts";
import { REASON_WORDS } from "#job/reason-words.ts";
import { BerthError, slurmError } from "#job/errors.ts";
import { chooseEngine, openEngine } from "./engine.ts";
import { complain, printLines } from "./terminal.ts";

export async function info(argv: readonly string[]): Promise<number> {
  if (argv.includes("--help") || argv.includes("-h")) {
    printLines([
      "Usage: berth [--engine embedded|slurm|auto] info [--json] [JOB]",
      "Says which engine is in use and why, and where its files are; with a job's id, what that job waits for.",
    ]);
    return 0;
  }
  const jobId = argv.find((word) => /^\d+$/.test(word));
  if (jobId !== undefined) return await explainJob(Number(jobId));
  const { engine: name, reason } = chooseEngine();
  const isJson = argv.includes("--json");
  const facts = name === "slurm" ? await slurmFacts(reason) : await embeddedFacts(reason);
  const problem = "problem" in facts ? facts.problem : null;
  printLines(
    isJson ? [JSON.stringify(facts, null, 2)] : Object.entries(facts).map(([key, value]) => `${`${key}:`.padEnd(15)}${value ?? ""}`),
  );
  if (problem !== null && !isJson) complain(`berth: the ${name} engine does not answer`);
  return problem === null ? 0 : 1;
}

async function explainJob(jobId: number): Promise<number> {
  await using engine = await openEngine();
  const found = await engine.jobs(
    { jobIds: [jobId], userIds: null, states: null, names: null, partitions: null },
    { signal: new AbortController().signal },
  );
  if (found.length === 0) throw slurmError("INVALID_JOB_ID");
  printLines(
    found.map(({ jobId: id, state, reason }) => {
      const words = REASON_WORDS[reason];
      return `Job ${id}: ${state}${reason === "None" ? "" : `, ${reason}`}${words === undefined ? "" : ` (${words})`}`;
    }),
  );
  return 0;
}

async function embeddedFacts(reason: string) {
  await using engine = await openEngine();
  const found = await engine.info({ signal: new AbortController().signal });
  const { state, runtime } = enginePaths();
  return {
    engine: found.engine,
    reason,
    version: found.version,
    cluster: found.clusterName,
    host: found.host,
    configuration: found.configFile,
    state,
    runtime,
  };
}

/** A site that does not answer is a fact too: what is wrong, and what to do. */
async function slurmFacts(reason: string) {
  const [{ findRestAddress }, { readToken }] = await Promise.all([
    import("#engine/slurm/rest/access.ts"),
    import("#engine/slurm/rest/token.ts"),
  ]);
  const address = findRestAddress();
  if (address !== undefined) {
    const { RestEngine } = await import("#engine/slurm/rest/client.ts");
    const facts = { engine: "slurm", reason, through: `slurmrestd, ${address.reason}` };
    try {
      await using engine = new RestEngine(address, readToken());
      const options = { signal: new AbortController().signal };
      const { version, host } = await engine.info(options);
      return { ...facts, version, interface: await engine.interfaceVersion(options), host };
    } catch (error) {
      if (!(error instanceof BerthError)) throw error;
      return { ...facts, problem: error.message, advice: error.hint ?? null };
    }
  }
  const { describeSite, findTrouble } = await import("#engine/slurm/describe-site.ts");
  const { signal } = new AbortController();
  const site = describeSite();
  const trouble = await findTrouble(signal);
  if (trouble !== undefined) return { engine: "slurm", reason, ...site, problem: trouble.message, advice: trouble.hint ?? null };
  await using engine = await openEngine();
  const found = await engine.info({ signal });
  return {
    engine: found.engine,
    reason,
    through: "Slurm's own commands on this host: no slurmrestd is set (BERTH_SLURM_REST)",
    version: found.version,
    cluster: found.clusterName,
    host: found.host,
    configuration: found.configFile,
    ...site,
  };
}
