/**
 * Where scrun keeps a container, so that every later command finds it with nothing but its id and XDG_RUNTIME_DIR:
 *
 *   ROOT/ID/state.json     what `create` was told and made (ContainerState); written once, beside and renamed
 *   ROOT/ID/creator        the create that took the id: its anchor is the one that was started for it
 *   ROOT/ID/anchor.sock    the anchor listens (anchor-wire.ts); nobody listens once the container has ended
 *   ROOT/ID/bundle/        config.json as the real runtime gets it: the job's variables and devices added
 *   ROOT/ID/runtime/       --root of the real runtime
 *   ROOT/ID/stand-in.pid   who stands for the container before its engine (stand-in.ts), and the FIFO by which it hears of the end
 *   ROOT/ID/anchor, answer, asked, over, start-failure.json     between the launcher and the anchor (launcher/)
 *   ROOT/ID/spool/         for staging
 *   ROOT/ID/staged.json    while something is staged in (staged-record.ts)
 *
 * ROOT (spec: scrun §5.1): --root, $XDG_RUNTIME_DIR/scrun, /run/user/UID/scrun, $TMPDIR/UID/scrun, /tmp/berth-UID/scrun. All of it is 0700.
 */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import type { RemotePlace } from "#engine/remote-containers.ts";
import { BerthError } from "#job/errors.ts";
import { isUsableRuntimeDir } from "#platform/directories.ts";
import { tryLock } from "#platform/libc.ts";
import { canAccess } from "#platform/system.ts";
import { ensurePrivateDir } from "#platform/private-directory.ts";
import { unmountBelow } from "#platform/mounts-below.ts";
import type { ProcessIdentity } from "#platform/process-tree.ts";
import type { Monitor } from "./orphans.ts";
import type { StartWait } from "./start-wait.ts";
import { realUserId } from "#platform/users.ts";

export interface ContainerState {
  readonly id: string;
  readonly ociVersion: string;
  /** Absolute, as given to create. */
  readonly bundle: string;
  readonly rootfs: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly createdAt: string;
  readonly anchor: ProcessIdentity;
  /** The real one, absolute. */
  readonly runtime: string;
  /** Its global options beside --root and --log: --systemd-cgroup and the like. */
  readonly runtimeOptions: readonly string[];
  readonly jobId: number | null;
  /** On a node of the cluster, once it runs; then `runtime` is empty. */
  readonly remote?: RemotePlace | null;
  /** As the container or create's environment says; for `start`. */
  readonly startWait: StartWait | null;
  readonly monitor: Monitor | null;
}

export class ContainerPlace {
  readonly root: string;
  readonly dir: string;
  readonly id: string;

  constructor(root: string, id: string) {
    this.root = root;
    this.id = id;
    this.dir = join(root, id);
  }

  get stateFile(): string {
    return join(this.dir, "state.json");
  }
  get bundle(): string {
    return join(this.dir, "bundle");
  }
  get runtimeRoot(): string {
    return join(this.dir, "runtime");
  }
  get runtimeLog(): string {
    return join(this.dir, "runtime.log");
  }
  get initPidFile(): string {
    return join(this.dir, "init.pid");
  }
  /** The pid of the process that engines wait for instead of the anchor (stand-in.ts). */
  get standInFile(): string {
    return join(this.dir, "stand-in.pid");
  }
  /** A FIFO: the exit status, from the anchor to who stands for it. */
  get endFifo(): string {
    return join(this.dir, "end");
  }
  /** There when the anchor has put everything else away (launcher/quick-start.ts). */
  get overFile(): string {
    return join(this.dir, "over");
  }
  get spool(): string {
    return join(this.dir, "spool");
  }

  /**
   * A path to the anchor's socket that fits into sun_path (unix(7)), whatever the root's length: through an open directory
   * where it must be. The fd stays open, for the life of a short command or of the anchor.
   */
  socket(): string {
    const path = join(this.dir, "anchor.sock");
    if (Buffer.byteLength(path) <= SUN_PATH) return path;
    this.#dirFd ??= openSync(this.dir, constants.O_RDONLY | constants.O_DIRECTORY);
    return `/proc/self/fd/${this.#dirFd}/anchor.sock`;
  }
  #dirFd: number | undefined;

  /** Takes the id, for the create that calls. @throws BerthError CONTAINER_EXISTS */
  make(creator: ProcessIdentity): void {
    try {
      mkdirSync(this.dir, { mode: 0o700 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw directoryError(this.dir, error);
      throw new BerthError("CONTAINER_EXISTS", "container with given ID already exists");
    }
    try {
      writeFileSync(this.creatorFile, nameOf(creator), { mode: 0o600 });
    } catch (error) {
      rmSync(this.dir, { recursive: true, force: true }); // a full disk must not keep the id
      throw error;
    }
  }

  /** What its anchor works in. */
  furnish(): void {
    for (const dir of [this.bundle, this.runtimeRoot, this.spool]) mkdirSync(dir, { mode: 0o700 });
  }

  /** Whether it is this create that has the id. */
  isOf(creator: ProcessIdentity): boolean {
    return this.#creator() === nameOf(creator);
  }

  /**
   * Whether another create has the id by now: somebody has emptied the runtime directory, and the directory here is no longer the one that we hold.
   * Nothing in it is ours then.
   */
  get isLost(): boolean {
    const found = this.#creator();
    return this.#held !== undefined && found !== undefined && found !== "" && found !== this.#held;
  }
  #held: string | undefined;

  /** Undefined when nobody has signed yet. */
  #creator(): string | undefined {
    try {
      return readFileSync(this.creatorFile, "latin1");
    } catch {
      return undefined;
    }
  }

  get creatorFile(): string {
    return join(this.dir, "creator");
  }

  /** For the anchor's life: nobody takes the directory for an abandoned one (abandoned.ts). False when somebody just does. */
  hold(): boolean {
    try {
      const fd = openSync(this.creatorFile, "r"); // the kernel drops the lock with the process
      this.#held = readFileSync(fd, "latin1");
      return tryLock(fd) && fstatSync(fd).nlink > 0;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
      throw error;
    }
  }

  write(state: ContainerState): void {
    const part = `${this.stateFile}.part`;
    writeFileSync(part, JSON.stringify(state), { mode: 0o600 });
    renameSync(part, this.stateFile);
  }

  /** Undefined when there is no such container, or its create has not come so far. */
  read(): ContainerState | undefined {
    return readOwn(this.stateFile) as ContainerState | undefined;
  }

  /** Whether the real runtime has it. */
  hasRuntimeContainer(): boolean {
    return existsSync(join(this.runtimeRoot, this.id));
  }

  standIn(): number | undefined {
    try {
      const pid = Number(readFileSync(this.standInFile, "latin1"));
      return pid > 1 ? pid : undefined;
    } catch {
      return undefined; // there is none
    }
  }

  /** Not through what a script has mounted in there. @throws BerthError DIRECTORY when that cannot be unmounted */
  remove(): void {
    const [mounted] = unmountBelow(this.dir);
    if (mounted !== undefined) {
      throw new BerthError("DIRECTORY", `Cannot remove ${this.dir}: something is mounted at ${mounted}`, {
        hint: "unmount it, and delete the container again",
      });
    }
    rmSync(this.dir, { recursive: true, force: true });
    if (this.#dirFd !== undefined) closeSync(this.#dirFd);
    this.#dirFd = undefined;
  }
}

/** Not a process's number alone, which may be another's later. */
function nameOf({ pid, startTicks }: ProcessIdentity): string {
  return `${pid}:${startTicks}`;
}

/** Our own file in our own 0700 directory, renamed into place whole. */
function readOwn(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** sun_path has 108 bytes with its zero. */
const SUN_PATH = 107;

/** Of one file: the id is the name of a directory. */
const NAME_MAX = 255;

/** As runc's. @throws BerthError CONTAINER_ID */
export function checkId(id: string | undefined): string {
  if (id === undefined || id === "") throw new BerthError("CONTAINER_ID", "container id cannot be empty");
  if (Buffer.byteLength(id) > NAME_MAX) throw new BerthError("CONTAINER_ID", `container id is longer than ${NAME_MAX} bytes`);
  if (!/^[\w+.-]+$/.test(id) || id === "." || id === "..") throw new BerthError("CONTAINER_ID", `invalid container id format: "${id}"`);
  return id;
}

/** @throws BerthError DIRECTORY, DIRECTORY_UNSAFE */
export function findRoot(given: string | undefined): string {
  if (given !== undefined && given !== "") {
    try {
      mkdirSync(given, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw directoryError(given, error);
    }
    refuseForeignRoot(given);
    return resolve(given);
  }
  const env = process.env;
  const uid = realUserId();
  const own = process.getuid?.() ?? 0;
  const bases = [
    env["XDG_RUNTIME_DIR"],
    `/run/user/${uid}`,
    env["TMPDIR"]?.startsWith("/") === true ? join(env["TMPDIR"], String(uid)) : undefined,
  ];
  for (const base of bases)
    if (isUsableRuntimeDir(base, own) && canAccess(base, constants.R_OK | constants.W_OK)) return ensurePrivateDir(join(base, "scrun"));
  return ensurePrivateDir(join(ensurePrivateDir(`/tmp/berth-${uid}`), "scrun"));
}

/** Whoever may write there says which program is run as the runtime of a container. */
function refuseForeignRoot(path: string): void {
  const { uid, mode } = statSync(path);
  const own = process.getuid?.() ?? 0;
  if (uid === own && (mode & 0o002) === 0) return;
  const what = uid === own ? "may be written to by everybody" : `belongs to uid ${uid}, not to ${own}`;
  throw new BerthError("DIRECTORY_UNSAFE", `${path} ${what}`, {
    hint: "containers are recorded in a directory of your own: name another --root",
  });
}

function directoryError(path: string, cause: unknown): BerthError {
  return new BerthError("DIRECTORY", `Cannot make directory ${path}: ${(cause as Error).message}`, { cause });
}

/** Every container below a root. */
export function listPlaces(root: string): readonly ContainerPlace[] {
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => new ContainerPlace(root, entry.name));
}
