// A real rootless podman with storage, configuration and a small image of its own, whose runtime is scrun, or any other.
// It works on the private cluster of test/e2e/site.ts, so that every container is a job there.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { launcherFor } from "#scrun/launcher/launcher.ts";
import { havePeers } from "../peers.ts";
import { isRoot, type Outcome, type RunningCommand, type RunOptions, until } from "../e2e/site.ts";
import { makeImage } from "./image.ts";
import { type OrdinaryUser, UserSite, within } from "./user-site.ts";

export const IMAGE = "berth-test";

/** Rootless podman is an ordinary user's; scripts/test runs every test as one, too. */
export const canRunPodman = !isRoot && havePeers("podman", "conmon", "newuidmap", "runc", "busybox");
if (isRoot) console.error("skipping the tests of rootless podman: they are an ordinary user's");

export interface PodmanSiteOptions {
  readonly conf?: string;
  /** With a user only. */
  readonly etc?: Readonly<Record<string, string>>;
  /** Undefined: whoever runs the test. */
  readonly user?: OrdinaryUser | undefined;
}

export class PodmanSite extends UserSite {
  readonly #config: string;

  private constructor({ user, ...options }: PodmanSiteOptions) {
    super(options, user);
    this.#config = join(this.dir, "containers.conf");
    writeFileSync(join(this.dir, "bin/scrun"), launcherFor(join(this.dir, "bin/berth")), { mode: 0o755 });
  }

  static async open(options: PodmanSiteOptions = {}): Promise<PodmanSite> {
    const site = new PodmanSite(options);
    try {
      site.#configure();
      const image = makeImage(site.dir);
      await site.enter();
      // Started by scrun, it would live in podman's namespaces, and keep its state where podman's scrubbed environment says.
      await site.expectSuccess(["berth", "daemon", "start"]);
      await site.expectSuccess(site.#podman(["import", "-q", image, IMAGE]));
    } catch (error) {
      await site[Symbol.asyncDispose]();
      throw error;
    }
    return site;
  }

  #configure(): void {
    // The host's network: others take /dev/net/tun, which ordinary users may not have (podman-networks.test.ts).
    writeFileSync(
      this.#config,
      [
        "[containers]",
        'netns = "host"',
        'log_driver = "k8s-file"',
        "[engine]",
        'cgroup_manager = "cgroupfs"',
        'events_logger = "file"',
        'runtime_supports_json = ["crun", "runc", "scrun"]',
        'runtime_supports_nocgroup = ["crun", "scrun"]',
        "",
      ].join("\n"),
    );
    mkdirSync(join(this.dir, "config/containers"));
    const storage = ["[storage]", 'driver = "vfs"', `runroot = "${this.dir}/run/pr"`, `graphroot = "${this.dir}/pg"`, ""];
    writeFileSync(join(this.dir, "config/containers/storage.conf"), storage.join("\n"));
    writeFileSync(join(this.dir, "config/containers/policy.json"), '{"default": [{"type": "insecureAcceptAnything"}]}');
  }

  #podman(args: readonly string[], runtime = join(this.dir, "bin/scrun")): [string, ...string[]] {
    // By its path: the process that cleans up after a container has none of our environment.
    return ["/usr/bin/podman", "--runtime", runtime, ...args];
  }

  podman(args: readonly string[], options: RunOptions & { readonly runtime?: string } = {}): Promise<Outcome> {
    return this.run(this.#podman(args, options.runtime), this.#withConfig(options));
  }

  /** In a process group of its own, which is what a terminal's Ctrl-C goes to. */
  startPodman(args: readonly string[], options: RunOptions = {}): RunningCommand {
    return this.start(["/usr/bin/setsid", ...this.#podman(args)], this.#withConfig(options));
  }

  /** podman under script(1), which gives it a terminal. */
  startPodmanOnTerminal(args: readonly string[]): RunningCommand {
    return this.start(["/usr/bin/script", "-qec", this.#line(args), "/dev/null"], this.#withConfig({}));
  }

  /** The same, with a Ctrl-C typed when there is a file `type`; the terminal stays open until there is one `typed`. */
  startPodmanAndInterrupt(args: readonly string[]): RunningCommand {
    const wait = (name: string) => `until [ -e ${name} ]; do sleep 0.05; done`;
    const typing = `{ ${wait("type")}; printf '\\003'; ${wait("typed")}; } | exec "$@"`;
    const script = ["/usr/bin/script", "-qec", this.#line(args), "/dev/null"];
    return this.start(["/bin/sh", "-c", typing, "sh", ...script], this.#withConfig({}));
  }

  #line(args: readonly string[]): string {
    return this.#podman(args)
      .map((word) => `'${word.replaceAll("'", "'\\''")}'`)
      .join(" ");
  }

  async podmanOnTerminal(args: readonly string[]): Promise<Outcome> {
    return await within(this.startPodmanOnTerminal(args));
  }

  #withConfig(options: RunOptions): RunOptions {
    return {
      timeoutMs: 60_000,
      ...options,
      env: { CONTAINERS_CONF: this.#config, USER: this.userName, LOGNAME: this.userName, ...options.env },
    };
  }

  async expectSuccess(argv: readonly [string, ...string[]]): Promise<string> {
    const { status, stdout, stderr } = await this.run(argv, this.#withConfig({}));
    if (status !== 0) throw new Error(`${argv.join(" ")}: status ${status}\n${stderr}`);
    return stdout;
  }

  /** A container id or name → its job as sacct tells it, `state code:signal`. */
  async job(name: string): Promise<string> {
    const { stdout } = await this.run(["sacct", "-X", "-n", "-P", "--name", name, "-o", "state,exitcode"]);
    return stdout.trim().replace("|", " ");
  }

  /** But podman's own process, which keeps its namespaces. */
  async nothingLeft(): Promise<void> {
    let left: string[] = [];
    try {
      await until("nothing to be left", async () => {
        left = (await this.leftovers(1)).filter((line) => !line.includes("catatonit -P"));
        return left.length === 0;
      });
    } catch (error) {
      throw new Error(`left: ${left.join("; ")}`, { cause: error });
    }
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.podman(["rm", "-f", "-a", "-t", "0"]);
      // Files of the image belong to users that only exist in podman's namespace.
      await this.podman(["unshare", "rm", "-rf", join(this.dir, "pg")]);
      // The process that keeps that namespace.
      await this.podman(["system", "migrate"]);
    } catch (error) {
      console.error(`podman's clean-up: ${error instanceof Error ? error.message : String(error)}`);
    }
    await super[Symbol.asyncDispose]();
  }
}
