/**
 * Making a bundle: a root file system from somewhere, and a config.json for it. The result appears whole or not at all:
 * it is made beside its place and renamed there.
 */
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import { runChild } from "#platform/child.ts";
import { DEFAULT_PATH } from "./environment.ts";
import { findInRootfs } from "./rootfs.ts";
import { explain } from "./runtime-calls.ts";

export type BundleSource =
  /** A directory that is a root file system; it is copied. */
  | { readonly kind: "directory"; readonly path: string }
  /** tar of a root file system, as `docker export` writes it, in any compression that tar(1) knows. */
  | { readonly kind: "tar"; readonly path: string }
  /** A Debian or Ubuntu release made here, by mmdebstrap(1) or debootstrap(8). */
  | {
      readonly kind: "suite";
      readonly tool: "mmdebstrap" | "debootstrap";
      readonly suite: string;
      readonly include: readonly string[];
      readonly mirror: string | null;
    };

export interface BundleOwner {
  readonly uid: number;
  readonly gid: number;
}

const LIMIT_MS = 30 * 60_000;
/** Mount points of the config.json below, and what programs expect. */
const PLACES: readonly (readonly [path: string, mode: number])[] = [
  ["proc", 0o755],
  ["dev", 0o755],
  ["sys", 0o755],
  ["tmp", 0o1777],
  ["run", 0o755],
  ["etc", 0o755],
  ["var", 0o755],
];

/**
 * @param owner null leaves user and maps out of config.json, so that several users can share the bundle: Berth completes
 *   it for each of them; runc and crun by themselves, and Slurm, would not
 * @throws BerthError BUNDLE_CREATE; the signal's reason. Nothing stays then.
 */
export async function createBundle(
  source: BundleSource,
  target: string,
  { owner, signal }: { readonly owner: BundleOwner | null; readonly signal: AbortSignal },
): Promise<void> {
  const place = resolve(target);
  if (existsSync(place) && !(statSync(place).isDirectory() && readdirSync(place).length === 0)) {
    throw new BerthError("BUNDLE_CREATE", `Cannot make bundle ${place}: it exists`, { hint: "name a directory that does not exist yet" });
  }
  const part = join(dirname(place), `.${basename(place)}.part-${crypto.randomUUID()}`);
  const rootfs = join(part, "rootfs");
  try {
    mkdirSync(dirname(place), { recursive: true });
    mkdirSync(rootfs, { recursive: true, mode: 0o755 });
    chmodSync(part, 0o700); // nobody else may reach set-uid files of a half-made one
    await fill(source, rootfs, signal);
    for (const [path, mode] of PLACES) makePlace(rootfs, path, mode);
    if (findInRootfs(rootfs, "/bin").kind !== "found" && findInRootfs(rootfs, "/usr").kind !== "found") throw noRootfs(source);
    writeFileSync(join(part, "config.json"), `${JSON.stringify(standardConfig(owner), null, 2)}\n`, { flag: "wx" });
    chmodSync(part, 0o755);
    signal.throwIfAborted();
    renameSync(part, place);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (error instanceof BerthError || code === undefined || signal.aborted) throw error;
    throw new BerthError("BUNDLE_CREATE", `Cannot make bundle ${place}: ${code}`, {
      hint: "check that you may write there, and that there is room",
      cause: error,
    });
  } finally {
    rmSync(part, { recursive: true, force: true });
  }
}

function makePlace(rootfs: string, path: string, mode: number): void {
  if (findInRootfs(rootfs, `/${path}`).kind !== "missing") return;
  mkdirSync(join(rootfs, path));
  chmodSync(join(rootfs, path), mode);
}

function noRootfs(source: BundleSource): BerthError {
  const name = source.kind === "suite" ? source.suite : source.path;
  return new BerthError("BUNDLE_CREATE", `Cannot make a bundle: there is no root file system in ${name} (no /bin and no /usr)`, {
    hint: 'an image of "docker save" is no root file system: use docker create and docker export, or skopeo and umoci',
  });
}

async function fill(source: BundleSource, rootfs: string, signal: AbortSignal): Promise<void> {
  switch (source.kind) {
    // A trailing /. copies the contents; owners stay the caller's, as for any file he makes.
    case "directory":
      return await tool(
        ["cp", "-R", "--preserve=mode,timestamps,links", "--reflink=auto", "--one-file-system", "--", `${resolve(source.path)}/.`, rootfs],
        signal,
      );
    case "tar":
      return await tool(untar(rootfs, resolve(source.path)), signal);
    case "suite":
      return await bootstrap(source, rootfs, signal);
  }
}

/** Devices are the runtime's to make, and owners would need rights that users do not have. */
function untar(rootfs: string, archive: string): Argv {
  const [asOwner] = process.geteuid?.() === 0 ? ["--same-owner"] : ["--no-same-owner"];
  return [
    "tar",
    "-x",
    "-f",
    archive,
    "-C",
    rootfs,
    asOwner as string,
    "--same-permissions",
    "--delay-directory-restore",
    "--exclude=./dev/*",
    "--exclude=dev/*",
  ];
}

/** As a tar archive, so that an ordinary user needs no subordinate ids: every file becomes his. */
async function bootstrap(source: BundleSource & { readonly kind: "suite" }, rootfs: string, signal: AbortSignal): Promise<void> {
  const include = source.include.length === 0 ? [] : [`--include=${source.include.join(",")}`];
  const mirror = source.mirror === null ? [] : [source.mirror];
  if (source.tool === "debootstrap") {
    if (process.geteuid?.() !== 0)
      throw new BerthError("BUNDLE_CREATE", "debootstrap works for root only", { hint: "use --mmdebstrap, which does without" });
    return await tool(["debootstrap", "--variant=minbase", ...include, source.suite, rootfs, ...mirror], signal);
  }
  const archive = `${rootfs}.tar`;
  try {
    const packages = source.include.length === 0 ? [`--include=${PACKAGES.join(",")}`] : include;
    // `extract` runs no maintainer scripts: it needs no ids but the caller's, and takes seconds.
    await tool(["mmdebstrap", "--quiet", "--variant=extract", ...packages, source.suite, archive, ...mirror], signal);
    await tool(untar(rootfs, archive), signal);
    // Links that a maintainer script would have made.
    if (findInRootfs(rootfs, "/bin/sh").kind === "missing" && findInRootfs(rootfs, "/bin/bash").kind === "found")
      symlinkSync("bash", join(rootfs, "bin/sh"));
    writeFileSync(join(rootfs, "etc/passwd"), "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n");
    writeFileSync(join(rootfs, "etc/group"), "root:x:0:\nnogroup:x:65534:\n");
  } finally {
    rmSync(archive, { force: true });
  }
}

const PACKAGES = ["base-files", "bash", "coreutils", "dash", "grep", "sed", "findutils", "hostname", "procps", "util-linux"];

type Argv = readonly [string, ...string[]];

async function tool(argv: Argv, signal: AbortSignal): Promise<void> {
  const env = {
    PATH: `${process.env["PATH"] ?? ""}:${DEFAULT_PATH}`,
    HOME: process.env["HOME"] ?? "/",
    LC_ALL: "C.UTF-8",
    TMPDIR: process.env["TMPDIR"] ?? "/tmp",
  };
  const result = await runChild(argv, { env, cwd: "/", signal, timeoutMs: LIMIT_MS, graceMs: 2000 });
  if (shellCode(result.status) === 0) return;
  const [name] = argv;
  if (result.status.kind === "notStarted")
    throw new BerthError("BUNDLE_CREATE", `Cannot make a bundle: ${name} is not installed`, {
      hint: `install it (Debian and Ubuntu: apt-get install ${name})`,
    });
  throw new BerthError("BUNDLE_CREATE", `Cannot make a bundle: ${name} failed: ${explain(result)}`);
}

const CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

/** As `runc spec` (with --rootless for a user) describes a container, with a shell as its program and a writable root. */
export function standardConfig(owner: BundleOwner | null): Record<string, unknown> {
  const isRootless = owner !== null && owner.uid !== 0;
  const usual = ["nosuid", "noexec", "nodev"];
  return {
    ociVersion: "1.0.2",
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: ["sh"],
      env: [`PATH=${DEFAULT_PATH}`, "TERM=xterm"],
      cwd: "/",
      capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES, ambient: CAPABILITIES },
      noNewPrivileges: true,
    },
    root: { path: "rootfs", readonly: false },
    hostname: "container",
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=65536k"] },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", ...(isRootless || owner === null ? [] : ["gid=5"])],
      },
      { destination: "/dev/shm", type: "tmpfs", source: "shm", options: [...usual, "mode=1777", "size=65536k"] },
      { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: usual },
      { destination: "/sys", type: "none", source: "/sys", options: ["rbind", ...usual, "ro"] },
    ],
    linux: {
      ...(isRootless
        ? {
            uidMappings: [{ containerID: 0, hostID: owner.uid, size: 1 }],
            gidMappings: [{ containerID: 0, hostID: owner.gid, size: 1 }],
          }
        : {}),
      namespaces: ["pid", "ipc", "uts", "mount", ...(isRootless ? ["user"] : [])].map((type) => ({ type })),
      maskedPaths: [
        "/proc/acpi",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/sys/firmware",
      ],
      readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}
