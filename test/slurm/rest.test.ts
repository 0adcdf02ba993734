// The second way in: a real slurmrestd with tokens, and a client that has no munge, no slurm.conf and no Slurm in its settings.
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { havePeers } from "../peers.ts";
import { BERTH, haveSlurm, type Ran, SlurmSite, slurmMajor } from "./site.ts";

const NOBODY = 65_534;
const PLUGIN_DIRS = ["/usr/lib/x86_64-linux-gnu/slurm-wlm", "/usr/lib/aarch64-linux-gnu/slurm-wlm", "/usr/lib/x86_64-linux-gnu/slurm"];
const haveTokens = PLUGIN_DIRS.some((dir) => existsSync(join(dir, "auth_jwt.so")));
const isHere = haveSlurm && havePeers("slurmrestd", "setpriv") && haveTokens;
if (!isHere) console.log("slurmrestd: skipped; it wants slurmrestd and slurm-wlm-jwt-plugin");
/** From 23.11 on one plugin serves all versions of the interface. */
const isNew = slurmMajor() > 23;
const NEWEST = isNew ? /v0\.0\.4\d/ : /v0\.0\.38/;

class RestSite implements AsyncDisposable {
  readonly site = new SlurmSite({ nodes: 2, cpus: 2, hasTokens: true });
  readonly dir = mkdtempSync("/tmp/br-");
  readonly token: string;
  readonly env: Record<string, string>;
  readonly #rest: Bun.Subprocess;

  constructor() {
    chmodSync(this.dir, 0o755);
    const sockets = join(this.dir, "s");
    mkdirSync(sockets);
    chmodSync(sockets, 0o777);
    const socket = join(sockets, "rest");
    this.token = Bun.spawnSync(["scontrol", "token", "lifespan=3600"], { env: this.site.env, timeout: 60_000 })
      .stdout.toString()
      .trim()
      .replace("SLURM_JWT=", "");
    // slurmrestd wants to be neither root nor SlurmUser, and its own authentication is the token alone.
    const conf = readFileSync(this.site.env["SLURM_CONF"] ?? "", "utf8")
      .split("\n")
      .filter((line) => !/^(AuthType|AuthInfo|AuthAlt\w+|CredType)=/.test(line))
      .map((line) => (line.startsWith("SlurmUser=") ? "SlurmUser=daemon" : line));
    writeFileSync(join(this.dir, "slurm.conf"), `${conf.join("\n")}\nAuthType=auth/jwt\n`, { mode: 0o644 });
    const other = process.getuid?.() === 0 ? ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"] : [];
    const plugins = isNew ? "openapi/slurmctld" : "openapi/v0.0.36,openapi/v0.0.37,openapi/v0.0.38";
    this.#rest = Bun.spawn([...other, "slurmrestd", "-a", "rest_auth/jwt", "-s", plugins, `unix:${socket}`], {
      env: { PATH: this.site.env["PATH"] ?? "", SLURM_CONF: join(this.dir, "slurm.conf"), SLURM_JWT: "daemon" },
      stdio: ["ignore", "ignore", "ignore"],
    });
    for (const name of ["home", "run"]) mkdirSync(join(this.dir, name), { mode: 0o700 });
    const tokenFile = join(this.dir, "token");
    writeFileSync(tokenFile, this.token, { mode: 0o600 });
    this.env = {
      PATH: this.site.env["PATH"] ?? "",
      HOME: join(this.dir, "home"),
      XDG_RUNTIME_DIR: join(this.dir, "run"),
      BERTH_SLURM_REST: `unix:${socket}`,
      BERTH_SLURM_TOKEN_FILE: tokenFile,
    };
  }

  async berth(argv: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
    const child = Bun.spawn([BERTH, ...argv], { cwd: this.site.workDir, env: { ...this.env, ...env }, stdout: "pipe", stderr: "pipe" });
    const [code, stdout, stderr] = await Promise.all([child.exited, new Response(child.stdout).text(), new Response(child.stderr).text()]);
    return { code, stdout, stderr };
  }

  /** Asks until the answer has what is wanted, and gives it. */
  async until(argv: readonly string[], wanted: string): Promise<string> {
    for (const deadline = performance.now() + 60_000; ; await Bun.sleep(200)) {
      const { stdout, stderr } = await this.berth(argv);
      if (stdout.includes(wanted)) return stdout;
      if (performance.now() > deadline) throw new Error(`${argv.join(" ")} never had "${wanted}": ${stdout}${stderr}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#rest.kill("SIGKILL");
    await this.#rest.exited;
    await this.site[Symbol.asyncDispose]();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

const rest = isHere ? new RestSite() : undefined;
afterAll(async () => {
  await rest?.[Symbol.asyncDispose]();
}, 60_000);

describe.skipIf(rest === undefined)("through slurmrestd", () => {
  const on = rest as RestSite;

  test("info says which way in and why, and sinfo shows the nodes", async () => {
    const info = await on.until(["info"], "v0.0.");
    expect(info).toMatch(NEWEST);
    expect(info).toContain(`slurmrestd, BERTH_SLURM_REST=${on.env["BERTH_SLURM_REST"]}`);
    expect((await on.berth(["sinfo", "-h", "-o", "%P %N"])).stdout).toBe("debug* c[1-2]\n");
  }, 90_000);

  test("a job is submitted, watched to its end and accounted; its environment has no token", async () => {
    const out = join(on.site.workDir, "rest.out");
    const argv = ["sbatch", "--parsable", "-J", "far", "-N2", "-o", out, "--wrap", "env; exit 3"];
    const { stdout, stderr } = await on.berth(argv, { SLURM_JWT: on.token, MARK: "kept" });
    expect(stderr).toBe("");
    const jobId = stdout.trim();
    await on.until(["squeue", "-h", "-t", "all", "-j", jobId, "-o", "%T"], "FAILED");
    const said = readFileSync(out, "utf8");
    expect(said).toContain("MARK=kept");
    expect(said).toContain("SLURM_JOB_NUM_NODES=2");
    expect(said).not.toContain(on.token);
    expect((await on.berth(["sacct", "-n", "-X", "-P", "-j", jobId, "-o", "JobName,State,ExitCode"])).stdout).toBe("far|FAILED|3:0\n");
  }, 90_000);

  test("a held job has an id, and scancel ends it", async () => {
    const { stdout, code } = await on.berth(["sbatch", "--parsable", "-H", "--wrap", "true"]);
    expect(code).toBe(0);
    expect(await on.until(["scontrol", "show", "job", stdout.trim()], "JobState=PENDING")).toContain("JobHeldUser");
    expect((await on.berth(["scancel", stdout.trim()])).code).toBe(0);
    await on.until(["squeue", "-h", "-t", "all", "-j", stdout.trim(), "-o", "%T"], "CANCELLED");
  }, 90_000);

  test("what it cannot carry is refused in words", async () => {
    expect(await on.berth(["srun", "true"])).toMatchObject({ code: 1, stdout: "" });
    expect((await on.berth(["srun", "true"])).stderr).toContain("slurmrestd cannot carry srun");
    expect((await on.berth(["sbatch", "--gres", "gpu:1", "--wrap", "true"])).stderr).toContain(
      "cannot send this through slurmrestd: --gres",
    );
    expect((await on.berth(["sbatch", "--no-requeue", "--wrap", "true"])).stderr).toContain("--no-requeue");
    expect((await on.berth(["info"], { SLURM_JWT: "a.b.c" })).stdout).toContain("does not accept the token");
    expect((await on.berth(["info"], { BERTH_SLURM_REST: "unix:/nowhere" })).stdout).toContain(
      "slurmrestd does not answer at unix:/nowhere",
    );
  }, 90_000);
});
