// A site whose commands an ordinary user runs, in a mount namespace of his own with a plain cgroup v2 tree: what rootless docker needs,
// and podman for all that it refuses on hosts with hybrid cgroups (pause, stats). Making it takes root, so these tests run in root's run,
// as the user that scripts/test makes.
import { chmodSync, copyFileSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { berthPath, isRoot, type RunningCommand, type RunOptions, Site, until } from "../e2e/site.ts";

interface OrdinaryUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

const NAME = process.env["BERTH_TEST_USER"] ?? "berthci";
const PRIVATE = "umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup && mount --make-rshared / &&";

/** Undefined where such a site cannot be had; it has been said why. */
export const ordinaryUser = findUser();

function findUser(): OrdinaryUser | undefined {
  const skip = (why: string) => void console.error(`skipping tests that need an ordinary user beside root: ${why}`);
  if (!isRoot) return skip("this run is not root's");
  const line = readFileSync("/etc/passwd", "utf8").match(new RegExp(`^${NAME}:[^:]*:(\\d+):(\\d+):`, "m"));
  if (line === null) return skip(`there is no user "${NAME}" (scripts/test makes it)`);
  if (!readFileSync("/etc/subuid", "utf8").includes(`${NAME}:`)) return skip(`"${NAME}" has no subordinate ids in /etc/subuid`);
  const tried = Bun.spawnSync(["unshare", "-m", "--propagation", "private", "sh", "-c", `${PRIVATE} true`], { timeout: 20_000 });
  if (!tried.success) return skip(`no mount namespace with a cgroup v2 tree: ${tried.stderr.toString().trim()}`);
  return { name: NAME, uid: Number(line[1]), gid: Number(line[2]) };
}

export class UserSite extends Site {
  readonly #user: OrdinaryUser | undefined;
  #holder: Bun.Subprocess<"pipe", "pipe", "ignore"> | undefined;

  /** @param user undefined: whoever runs the test, where it is */
  protected constructor(options: { readonly conf?: string }, user: OrdinaryUser | undefined) {
    super(options);
    this.#user = user;
    if (user === undefined) return;
    // The checkout may be root's alone.
    const bin = join(this.dir, "bin");
    for (const name of readdirSync(bin)) rmSync(join(bin, name));
    copyFileSync(berthPath(), join(bin, "berth"));
    chmodSync(join(bin, "berth"), 0o755);
    for (const name of ["srun", "sbatch", "scancel", "squeue", "sacct", "scontrol"]) symlinkSync("berth", join(bin, name));
  }

  /** The user name that its commands run under. */
  get userName(): string {
    return this.#user?.name ?? "me";
  }

  /** Everything made so far becomes the user's. */
  protected async enter(): Promise<void> {
    const user = this.#user;
    if (user === undefined) return;
    const chown = Bun.spawnSync(["chown", "-R", `${user.uid}:${user.gid}`, this.dir], { timeout: 30_000 });
    if (!chown.success) throw new Error(chown.stderr.toString());
    // It ends with its standard input, and so with this process, whatever becomes of that.
    const holder = Bun.spawn(["unshare", "-m", "--propagation", "private", "sh", "-c", `${PRIVATE} echo ready && exec cat`], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "ignore",
    });
    this.#holder = holder;
    const { value } = await holder.stdout.getReader().read();
    if (value === undefined) throw new Error("the mount namespace could not be made a second time");
    await until("the namespace's tree", () => Bun.spawnSync(this.#inside(["true"], "/"), { timeout: 10_000 }).success);
  }

  #inside(argv: readonly string[], cwd: string): [string, ...string[]] {
    const user = this.#user;
    if (user === undefined || this.#holder === undefined) throw new Error("not entered yet");
    const ids = [`--reuid=${user.uid}`, `--regid=${user.gid}`, "--init-groups"];
    return [
      ...(["/usr/bin/nsenter", `--mount=/proc/${this.#holder.pid}/ns/mnt`, "/usr/bin/setpriv", ...ids] as const),
      ...["/usr/bin/env", `--chdir=${cwd}`, ...argv],
    ];
  }

  override start(argv: readonly [string, ...string[]], options: RunOptions = {}): RunningCommand {
    if (this.#user === undefined || this.#holder === undefined) return super.start(argv, options);
    const [name, ...rest] = argv;
    const path = name.includes("/") ? name : join(this.dir, "bin", name);
    const env = { USER: this.#user.name, LOGNAME: this.#user.name, ...options.env };
    return super.start(this.#inside([path, ...rest], options.cwd ?? this.workDir), { ...options, env, cwd: "/" });
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    this.#holder?.kill("SIGKILL");
  }
}
