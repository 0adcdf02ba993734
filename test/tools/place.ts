// A private cluster of two small nodes for tools that were written for Slurm, with every command they may call in front of
// PATH, and the files of one workflow. Tools ask for jobs of the user by name, so the name is the real one.
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { berthPath, type Outcome, Site } from "../e2e/site.ts";

/** As the system has it; os.userInfo() believes the environment. */
export const USER = Bun.spawnSync(["id", "-un"]).stdout.toString().trim();

const CONF =
  "NodeName=n[1-2] CPUs=4 RealMemory=16000\nPartitionName=debug Nodes=ALL Default=YES\nPartitionName=short Nodes=n1\nKillWait=2\n";

export class Place extends Site {
  constructor() {
    super({ conf: CONF });
    for (const name of ["sacctmgr", "sshare", "sstat", "sattach", "sbcast"]) {
      const link = join(this.dir, "bin", name);
      if (!existsSync(link)) symlinkSync(berthPath(), link);
    }
  }

  /** Environment of a tool: Python keeps its compiled modules in the place, not beside the system's. */
  get toolEnv(): Record<string, string> {
    return { USER, LOGNAME: USER, PYTHONPYCACHEPREFIX: join(this.dir, "pycache"), PYTHONUNBUFFERED: "1" };
  }

  /** Writes the files of a workflow below the working directory, and names the directory. */
  workflow(name: string, files: Readonly<Record<string, string>>): string {
    for (const [path, text] of Object.entries(files)) {
      const file = join(this.workDir, name, path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text, { mode: text.startsWith("#!") ? 0o755 : 0o644 });
    }
    return join(this.workDir, name);
  }

  /** One line of a shell, as most tools run Slurm's commands. */
  async shell(line: string, options: { readonly cwd?: string; readonly stdin?: string } = {}): Promise<Outcome> {
    return await this.run(["/bin/sh", "-c", line], { env: this.toolEnv, ...options });
  }

  /** Standard output of a line that must succeed. */
  async output(line: string, options: { readonly cwd?: string; readonly stdin?: string } = {}): Promise<string> {
    const { status, stdout, stderr } = await this.shell(line, options);
    if (status !== 0) throw new Error(`"${line}" ended with ${status}: ${stderr}${stdout}`);
    return stdout;
  }

  /** Jobs in accounting, without steps: name, state and exit code. */
  async ended(): Promise<string[]> {
    return (await this.output("sacct -nPX -o JobName,State,ExitCode")).trimEnd().split("\n").sort();
  }
}
