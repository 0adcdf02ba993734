// A site whose commands an ordinary user runs, in a mount namespace with a plain cgroup v2 tree and in a cgroup that is his own, as a systemd session
// gives him one: what rootless docker needs, and podman for all that it refuses on hosts with hybrid cgroups (pause). Making it
// takes root, so these tests run in root's run, as the user that scripts/test makes.
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { basename, dirname, join } from "node:path";
import { berthPath, isRoot, type Outcome, type RunningCommand, type RunOptions, Site, until } from "../e2e/site.ts";

export interface OrdinaryUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

const NAME = process.env["BERTH_TEST_USER"] ?? "berthci";
/** Its /dev/net/tun is for everybody, as udev makes it: rootless engines have networks by it. */
const TUN = "mkdir -p /dev/net && mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200";
const PRIVATE = `umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup && ${TUN} && mount --make-rshared / &&`;

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

  /**
   * @param options.etc files that its /etc has besides, by their path in it
   * @param user undefined: whoever runs the test, where it is
   */
  protected constructor(
    options: { readonly conf?: string; readonly etc?: Readonly<Record<string, string>> },
    user: OrdinaryUser | undefined,
  ) {
    super(options);
    this.#user = user;
    if (user === undefined) return;
    for (const [name, text] of Object.entries(options.etc ?? {})) {
      mkdirSync(dirname(join(this.dir, "etc", name)), { recursive: true });
      writeFileSync(join(this.dir, "etc", name), text);
    }
    // The checkout may be root's alone.
    const bin = join(this.dir, "bin");
    for (const name of readdirSync(bin)) rmSync(join(bin, name));
    copyFileSync(berthPath(), join(bin, "berth"));
    chmodSync(join(bin, "berth"), 0o755);
    for (const name of ["srun", "sbatch", "scancel", "squeue", "sacct", "scontrol"]) symlinkSync("berth", join(bin, name));
  }

  /** The user name that its commands run under. */
  get userName(): string {
    return this.#user?.name ?? userInfo().username;
  }

  /** The one that is the user's, below which engines make those of containers. */
  get cgroup(): string {
    return `/${basename(this.dir)}`;
  }

  /** Everything made so far becomes the user's. */
  protected async enter(): Promise<void> {
    const user = this.#user;
    if (user === undefined) return;
    const chown = Bun.spawnSync(["chown", "-R", `${user.uid}:${user.gid}`, this.dir], { timeout: 30_000 });
    if (!chown.success) throw new Error(chown.stderr.toString());
    const cgroup = `/sys/fs/cgroup${this.cgroup}`;
    const delegate = `mkdir ${cgroup} && chown ${user.uid}:${user.gid} ${cgroup} ${cgroup}/cgroup.procs ${cgroup}/cgroup.subtree_control && `;
    // It is told the directory: processes that carry its name are the site's, and killed before this one.
    const overlay = '"lowerdir=/etc,upperdir=$dir/etc,workdir=$dir/etc.work"';
    const mountEtc = existsSync(join(this.dir, "etc")) ? `mkdir "$dir/etc.work" && mount -t overlay -o ${overlay} overlay /etc && ` : "";
    // Nobody is in it any more when the site's processes are gone.
    const remove = `; find ${cgroup} -depth -type d -exec rmdir {} +`;
    // It ends with its standard input, and so with this process, whatever becomes of that.
    const holder = Bun.spawn(
      [
        "unshare",
        "-m",
        "--propagation",
        "private",
        "sh",
        "-c",
        `read -r dir && ${PRIVATE} ${mountEtc} ${delegate} echo ready && cat${remove}`,
      ],
      {
        stdin: "pipe",
        stdout: "pipe",
        stderr: "ignore",
      },
    );
    this.#holder = holder;
    holder.stdin.write(`${this.dir}\n`);
    await holder.stdin.flush();
    const { value } = await holder.stdout.getReader().read();
    if (value === undefined) throw new Error("the mount namespace could not be made a second time");
    await until("the namespace's tree", () => Bun.spawnSync(this.#inside(["true"], "/"), { timeout: 10_000 }).success);
  }

  #inside(argv: readonly string[], cwd: string): [string, ...string[]] {
    const user = this.#user;
    if (user === undefined || this.#holder === undefined) throw new Error("not entered yet");
    const enterCgroup = 'echo $$ > "$0/cgroup.procs" && exec "$@"';
    const ids = [`--reuid=${user.uid}`, `--regid=${user.gid}`, "--init-groups"];
    return [
      ...(["/usr/bin/nsenter", `--mount=/proc/${this.#holder.pid}/ns/mnt`] as const),
      ...["/bin/sh", "-c", enterCgroup, `/sys/fs/cgroup${this.cgroup}`, "/usr/bin/setpriv", ...ids],
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
    const holder = this.#holder;
    if (holder === undefined) return;
    await holder.stdin.end();
    const deadline = setTimeout(() => holder.kill("SIGKILL"), 10_000);
    await holder.exited;
    clearTimeout(deadline);
  }
}

/** A command's outcome; it is killed when that takes too long. */
export async function within(command: RunningCommand, limitMs = 60_000): Promise<Outcome> {
  const timer = setTimeout(() => command.kill("SIGKILL"), limitMs);
  try {
    return await command.outcome;
  } finally {
    clearTimeout(timer);
  }
}
