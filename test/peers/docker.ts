// A real rootless dockerd with storage, configuration and a small image of its own, whose runtime is scrun unless a command names another one
// ("plain": runc). It works on the private cluster of test/e2e/site.ts, so that every container is a job there.
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Outcome, type RunningCommand, type RunOptions, until } from "../e2e/site.ts";
import { havePeers } from "../peers.ts";
import { makeImage } from "./image.ts";
import { ordinaryUser, UserSite, within } from "./user-site.ts";

export const IMAGE = "berth-test";
const ROOTLESS = "/usr/share/docker.io/contrib/dockerd-rootless.sh";

export const canRunDocker = ordinaryUser !== undefined && havePeers("dockerd", "rootlesskit", "newuidmap", "runc", "busybox");

/** Its daemon has no network to give. */
const LIMITED = ["--net=none"];

export class DockerSite extends UserSite {
  readonly #client: Readonly<Record<string, string>>;
  #daemon: RunningCommand | undefined;

  private constructor() {
    super({}, ordinaryUser);
    symlinkSync("berth", join(this.dir, "bin/scrun"));
    this.#client = { DOCKER_HOST: `unix://${join(this.dir, "run/docker.sock")}` };
  }

  static async open(): Promise<DockerSite> {
    const site = new DockerSite();
    try {
      await site.#startDaemon();
    } catch (error) {
      await site[Symbol.asyncDispose]();
      throw error;
    }
    return site;
  }

  async #startDaemon(): Promise<void> {
    const config = join(this.dir, "config/docker");
    mkdirSync(config);
    writeFileSync(
      join(config, "daemon.json"),
      JSON.stringify({
        experimental: true,
        iptables: false,
        bridge: "none",
        "ip-forward": false,
        "ip-masq": false,
        "userland-proxy": false,
        "storage-driver": "vfs",
        "data-root": join(this.dir, "d"),
        "default-runtime": "scrun",
        "shutdown-timeout": 5,
        runtimes: { scrun: { path: join(this.dir, "bin/scrun") }, plain: { path: "/usr/sbin/runc" } },
      }),
    );
    const image = makeImage(this.dir);
    await this.enter();
    await this.expectSuccess(["berth", "daemon", "start"]);
    const env = { DOCKERD_ROOTLESS_ROOTLESSKIT_NET: "host", DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER: "none" };
    const daemon = this.start([ROOTLESS], { env });
    this.#daemon = daemon;
    await until(
      "dockerd",
      async () => {
        if (daemon.process.exitCode !== null) throw new Error(`dockerd: ${daemon.stderrSoFar.slice(-2000)}`);
        return (await this.docker(["info"])).status === 0;
      },
      60_000,
    );
    await this.expectSuccess(["/usr/bin/docker", "import", image, IMAGE]);
  }

  docker(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return this.run(["/usr/bin/docker", ...args], this.#asClient(options));
  }

  /** `docker run`, with what it takes here. */
  dockerRun(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return this.docker(["run", ...LIMITED, ...args], options);
  }

  startDocker(args: readonly string[], options: RunOptions = {}): RunningCommand {
    return this.start(["/usr/bin/docker", ...args], this.#asClient(options));
  }

  startDockerRun(args: readonly string[], options: RunOptions = {}): RunningCommand {
    return this.startDocker(["run", ...LIMITED, ...args], options);
  }

  /** docker under script(1), which gives it a terminal. */
  startOnTerminal(args: readonly string[]): RunningCommand {
    const [command = "", ...rest] = args;
    const line = ["/usr/bin/docker", command, ...(command === "run" ? LIMITED : []), ...rest];
    return this.start(["/usr/bin/script", "-qec", line.map(quote).join(" "), "/dev/null"], this.#asClient({}));
  }

  async onTerminal(args: readonly string[]): Promise<Outcome> {
    return await within(this.startOnTerminal(args));
  }

  compose(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return this.run(["/usr/bin/docker-compose", "--no-ansi", ...args], this.#asClient(options));
  }

  #asClient(options: RunOptions): RunOptions {
    return { timeoutMs: 60_000, ...options, env: { ...this.#client, ...options.env } };
  }

  async expectSuccess(argv: readonly [string, ...string[]]): Promise<string> {
    const { status, stdout, stderr } = await this.run(argv, this.#asClient({}));
    if (status !== 0) throw new Error(`${argv.join(" ")}: status ${status}\n${stderr}`);
    return stdout;
  }

  /** A container's name → its jobs as sacct tells them, `state code:signal`. */
  async job(name: string): Promise<string> {
    const { stdout } = await this.run(["sacct", "-X", "-n", "-P", "--name", name, "-o", "state,exitcode"]);
    return stdout.trim().replaceAll("|", " ");
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    const daemon = this.#daemon;
    if (daemon !== undefined) {
      daemon.kill("SIGTERM");
      const deadline = setTimeout(() => daemon.kill("SIGKILL"), 20_000);
      await daemon.process.exited;
      clearTimeout(deadline);
    }
    await super[Symbol.asyncDispose]();
  }
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
