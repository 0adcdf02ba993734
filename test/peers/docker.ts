// A real dockerd, rootless or root's, with storage, configuration and a small image of its own, whose runtime is scrun unless a command names another one
// ("plain": runc). It works on the private cluster of test/e2e/site.ts, so that every container is a job there.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type Outcome, type RunningCommand, type RunOptions, until } from "../e2e/site.ts";
import { launcherFor } from "#scrun/launcher/launcher.ts";
import { havePeers } from "../peers.ts";
import { canWriteCgroups } from "../scrun/cgroups.ts";
import { makeImage } from "./image.ts";
import { ordinaryUser, UserSite, within } from "./user-site.ts";

export const IMAGE = "berth-test";
const ROOTLESS = "/usr/share/docker.io/contrib/dockerd-rootless.sh";

export const canRunDocker =
  ordinaryUser !== undefined && havePeers("dockerd", "rootlesskit", "slirp4netns", "ip", "iptables", "newuidmap", "runc", "busybox");

/** root's dockerd, for what only it may do: limits. Without a writable cgroup tree it cannot either. */
export const canRunRootDocker = canWriteCgroups && havePeers("dockerd", "runc", "busybox");

/** The first part of its version: 20 in Debian 12. */
export const DOCKER_MAJOR = Number(/version ([0-9]+)\./.exec(outputOf("dockerd", "--version"))?.[1] ?? 0);
export const HAS_COMPOSE_PLUGIN = outputOf("docker", "compose", "version").startsWith("Docker Compose");

function outputOf(...argv: readonly [string, ...string[]]): string {
  try {
    return Bun.spawnSync([...argv], { timeout: 10_000, env: { PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" } }).stdout.toString();
  } catch {
    return ""; // not installed
  }
}

/** The quickest; what a container has otherwise is a network of its own. */
const LIMITED = ["--net=none"];

export interface DockerOptions {
  readonly isRootful?: boolean;
  readonly conf?: string;
  /** Files that its /etc has besides; not root's. */
  readonly etc?: Readonly<Record<string, string>>;
}

export class DockerSite extends UserSite {
  readonly #isRootful: boolean;
  readonly #socket: string;
  #daemon: RunningCommand | undefined;

  private constructor({ isRootful = false, ...site }: DockerOptions) {
    super(site, isRootful ? undefined : ordinaryUser);
    this.#isRootful = isRootful;
    this.#socket = join(this.dir, "run/docker.sock");
  }

  static async open(options: DockerOptions = {}): Promise<DockerSite> {
    const site = new DockerSite(options);
    try {
      await site.#startDaemon();
    } catch (error) {
      await site[Symbol.asyncDispose]();
      throw error;
    }
    return site;
  }

  async #startDaemon(): Promise<void> {
    const scrun = join(this.dir, "bin/scrun");
    if (this.#isRootful) {
      // A containerd that runs already would call it with an environment of its own.
      const names = ["HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME"];
      const exports = names.map((name) => `export ${name}='${this.env[name]}'\n`).join("");
      writeFileSync(scrun, `#!/bin/sh\n${exports}exec ${this.dir}/bin/berth scrun "$@"\n`, { mode: 0o755 });
    } else writeFileSync(scrun, launcherFor(join(this.dir, "bin/berth")), { mode: 0o755 });
    mkdirSync(join(this.dir, "config/docker"));
    const configFile = join(this.dir, "config/docker/daemon.json");
    writeFileSync(configFile, JSON.stringify({ ...this.#configuration(), ...(this.#isRootful ? this.#rootfulConfiguration() : {}) }));
    const image = makeImage(this.dir);
    await this.enter();
    await this.expectSuccess(["berth", "daemon", "start"]);
    // What makes scrun its runtime is berth's own work; there is no systemd to read the service's variables.
    await this.expectSuccess(["berth", "generate", "docker", "--user", "--scrun", scrun]);
    const service = readFileSync(join(this.dir, "config/systemd/user/docker.service.d/50-berth.conf"), "utf8");
    const variables = [...service.matchAll(/^Environment="(.*?)=(.*)"$/gm)].map(([, name = "", value = ""]) => [name, value] as const);
    const env = Object.fromEntries(variables);
    // What root's mounts goes with it, and the host's network stays as it is.
    const rootful = ["/usr/bin/unshare", "-m", "-n", "--propagation", "private", "/usr/sbin/dockerd", "--config-file", configFile] as const;
    const daemon = this.start(this.#isRootful ? rootful : [ROOTLESS], { env });
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

  #configuration(): Record<string, unknown> {
    return {
      "storage-driver": "vfs",
      "shutdown-timeout": 5,
      runtimes: { plain: { path: "/usr/sbin/runc" } },
    };
  }

  #rootfulConfiguration(): Record<string, unknown> {
    const name = basename(this.dir);
    return {
      hosts: [`unix://${this.#socket}`],
      // A rootless daemon's stays where docker has it, below HOME.
      "data-root": join(this.dir, "d"),
      "exec-root": join(this.dir, "x"),
      pidfile: join(this.dir, "docker.pid"),
      "exec-opts": ["native.cgroupdriver=cgroupfs"],
      "cgroup-parent": `/${name}`,
      "containerd-namespace": name,
      "containerd-plugins-namespace": `${name}-plugins`,
      // Root in a container may not have more.
      "default-ulimits": { nofile: { Name: "nofile", Hard: 1024, Soft: 1024 } },
    };
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

  /** The plug-in, where docker has it. */
  compose(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const command = HAS_COMPOSE_PLUGIN ? (["/usr/bin/docker", "compose"] as const) : (["/usr/bin/docker-compose", "--no-ansi"] as const);
    return this.run([...command, ...args], this.#asClient(options));
  }

  #asClient(options: RunOptions): RunOptions {
    return { timeoutMs: 60_000, ...options, env: { DOCKER_HOST: `unix://${this.#socket}`, ...options.env } };
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
    if (this.#isRootful) {
      const remove = `find /sys/fs/cgroup -depth -type d -path '*/${basename(this.dir)}*' -exec rmdir {} +`;
      Bun.spawnSync(["sh", "-c", remove], { timeout: 10_000 });
    }
  }
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
