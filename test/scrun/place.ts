// For tests: a site with a bundle that runc takes from whoever runs the test, and calls whose streams a container may keep.
import { closeSync, existsSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { makePreset } from "#container/presets.ts";
import { Site, until } from "../oci/site.ts";

const ROOT = join(import.meta.dir, "../..");
export const RUNC = ["/usr/sbin/runc", "/usr/bin/runc", "/usr/local/bin/runc"].find((path) => existsSync(path));

export interface Called {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class ScrunSite extends Site {
  #calls = 0;
  readonly root = join(this.dir, "scrun-root");
  readonly runcRoot = join(this.dir, "runc-root");

  constructor() {
    super();
    this.conf(makePreset("runc", "run", { runtimeRoot: this.runtimeRoot, scriptDir: "/none", exists: () => false }).conf);
    this.program("sleep 1000");
  }

  /** What containers of the bundle run, from now on. */
  // biome-ignore lint/suspicious/noExplicitAny: a test changes whatever it wants
  program(script: string, change: (config: Record<string, any>) => void = () => {}): void {
    this.place.makeBundle((config) => {
      config["process"].terminal = false;
      config["process"].args = ["/bin/sh", "-c", script];
      config["annotations"] = { "test.note": "kept" };
      const uid = process.geteuid?.() ?? 0;
      if (uid !== 0) {
        config["linux"].namespaces.push({ type: "user" });
        config["linux"].uidMappings = [{ containerID: 0, hostID: uid, size: 1 }];
        config["linux"].gidMappings = [{ containerID: 0, hostID: process.getegid?.() ?? 0, size: 1 }];
        delete config["linux"].resources;
        delete config["process"].rlimits;
        config["mounts"] = config["mounts"].filter(({ type }: { type: string }) => type === "proc" || type === "tmpfs");
      }
      change(config);
    });
  }

  /** Waits for the command, not for the end of its streams: a container keeps them. */
  async call(argv: readonly [string, ...string[]], env: Record<string, string> = {}): Promise<Called> {
    const base = join(this.dir, `call-${this.#calls++}`);
    const [out, err] = [openSync(`${base}.out`, "w+"), openSync(`${base}.err`, "w+")];
    try {
      const child = Bun.spawn([...argv], { cwd: this.bundle, env: { ...this.env, ...env }, stdin: "ignore", stdout: out, stderr: err });
      const code = await child.exited;
      return { code, stdout: readFileSync(`${base}.out`, "utf8"), stderr: readFileSync(`${base}.err`, "utf8") };
    } finally {
      closeSync(out);
      closeSync(err);
      rmSync(`${base}.out`);
      rmSync(`${base}.err`);
    }
  }

  scrun(words: readonly string[], env: Record<string, string> = {}): Promise<Called> {
    return this.call([process.execPath, join(ROOT, "src/main.ts"), "scrun", "--root", this.root, ...words], env);
  }

  runc(words: readonly string[]): Promise<Called> {
    return this.call([RUNC ?? "runc", "--root", this.runcRoot, ...words]);
  }

  async state(id: string): Promise<Record<string, unknown>> {
    const { code, stdout, stderr } = await this.scrun(["state", id]);
    if (code !== 0) throw new Error(stderr);
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  async untilStatus(id: string, wanted: string): Promise<void> {
    for (const end = Date.now() + 20_000; Date.now() < end; await Bun.sleep(50)) if ((await this.state(id))["status"] === wanted) return;
    throw new Error(`${id} did not become ${wanted}`);
  }

  /** sacct's rows of one job, `ID|STATE|EXITCODE`. */
  async accounted(jobId: unknown): Promise<string[]> {
    const { stdout, stderr } = await this.run(["sacct", "-nP", "-j", String(jobId), "-o", "jobid,state,exitcode"]);
    return `${stdout}${stderr}`.trim().split("\n");
  }

  /** Until squeue knows the job no more. */
  async untilOver(jobId: unknown): Promise<void> {
    for (const end = Date.now() + 20_000; Date.now() < end; await Bun.sleep(50)) {
      if ((await this.run(["squeue", "-h"])).stdout.split("\n").every((line) => line.trim().split(" ")[0] !== String(jobId))) return;
    }
    throw new Error(`job ${String(jobId)} did not end`);
  }
}

export { until };
