/**
 * Which runtime to use when no oci.conf says so: crun (quicker), then runc. "Works here" is not guessed from versions
 * or settings: a trivial container is really run once, as this user. The answer is kept in `stateDir`, keyed by all
 * that can change it (programs, boot, user, namespaces, cgroup layout); a refusal of all of them is not kept, so that
 * a repaired host is noticed at once. Two processes that ask at the same time both probe, each in a directory of its
 * own, and write the same answer.
 */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  type Stats,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path/posix";
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import { runChild } from "#platform/child.ts";
import { DEFAULT_PATH } from "./environment.ts";
import { printJson, toJson, type JsonObject } from "./json.ts";
import { completeForRootless } from "./rootless.ts";
import { explain } from "./runtime-calls.ts";
import { chosenOperations, type ChosenRuntime } from "./runtime.ts";

const NAMES = ["crun", "runc"] as const;
/** Part of the key: raise it when the probe changes. */
const PROBE_VERSION = 1;
const PROBE_TIMEOUT_MS = 15_000;
const MAX_CACHED = 8;

interface Candidate {
  readonly name: (typeof NAMES)[number];
  readonly path: string;
  readonly stamp: string;
}
interface Refusal {
  readonly name: string;
  readonly path: string;
  readonly reason: string;
}

/**
 * @param stateDir ours, 0700
 * @throws BerthError RUNTIME_MISSING when none is installed, RUNTIME_REFUSED when none works here
 */
export async function chooseRuntime(
  stateDir: string,
  { signal, searchPath = process.env["PATH"] }: { readonly signal: AbortSignal; readonly searchPath?: string | undefined },
): Promise<ChosenRuntime> {
  const candidates = findCandidates(`${searchPath ?? ""}:${DEFAULT_PATH}`);
  const key = probeKey(candidates);
  const file = join(stateDir, "runtimes.json");
  const known = readCache(file).find((entry) => entry.key === key);
  const cached = candidates.find((candidate) => candidate.path === known?.path);
  if (known !== undefined && cached !== undefined) return { name: cached.name, path: cached.path, description: known.description };
  const refusals: Refusal[] = [];
  for (const candidate of candidates) {
    const answer = await probe(candidate, stateDir, signal);
    if (answer.kind === "refused") {
      refusals.push({ ...candidate, reason: answer.reason });
      continue;
    }
    const description = describe(answer.version, refusals);
    writeCache(file, { key, path: candidate.path, description });
    return { name: candidate.name, path: candidate.path, description };
  }
  throw noneWorks(refusals);
}

function findCandidates(searchPath: string): readonly Candidate[] {
  const dirs = [...new Set(searchPath.split(":"))].filter((dir) => dir.startsWith("/"));
  return NAMES.flatMap((name): Candidate[] => {
    for (const dir of dirs) {
      const path = join(dir, name);
      let stat: Stats | undefined;
      try {
        stat = statSync(path, { throwIfNoEntry: false });
      } catch {
        continue;
      } // not ours to look at
      if (stat?.isFile() === true && (stat.mode & 0o111) !== 0) return [{ name, path, stamp: `${path}:${stat.mtimeMs}:${stat.size}` }];
    }
    return [];
  });
}

function probeKey(candidates: readonly Candidate[]): string {
  const facts = [
    PROBE_VERSION,
    ...candidates.map((candidate) => candidate.stamp),
    process.geteuid?.() ?? 0,
    attempt(() => readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()),
    attempt(() => readlinkSync("/proc/self/ns/user")),
    attempt(() => statfsSync("/sys/fs/cgroup").type),
  ];
  return facts.join(" ");
}

/** A host without this file is a fact too. */
function attempt<T>(read: () => T): T | "none" {
  try {
    return read();
  } catch {
    return "none";
  }
}

interface CacheEntry {
  readonly key: string;
  readonly path: string;
  readonly description: string;
}

/** Anything unreadable is an empty cache: the probe runs again. */
function readCache(file: string): readonly CacheEntry[] {
  let data: unknown;
  try {
    data = JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return [];
  }
  return Array.isArray(data) ? data.slice(0, MAX_CACHED).filter(isEntry) : [];
}

function isEntry(value: unknown): value is CacheEntry {
  if (typeof value !== "object" || value === null) return false;
  const entry = value as Record<string, unknown>;
  return [entry["key"], entry["path"], entry["description"]].every((member) => typeof member === "string");
}

/** Written beside and renamed: a reader sees the old or the new one. A rival's entry may get lost, and costs it one probe. */
function writeCache(file: string, entry: CacheEntry): void {
  const entries = [entry, ...readCache(file).filter((other) => other.key !== entry.key)].slice(0, MAX_CACHED);
  const part = `${file}.part-${crypto.randomUUID()}`;
  try {
    writeFileSync(part, JSON.stringify(entries), { mode: 0o600, flag: "wx" });
    renameSync(part, file);
  } catch {
    try {
      unlinkSync(part);
    } catch {
      /* a full disk costs a probe for each step, nothing else */
    }
  }
}

type Answer = { readonly kind: "works"; readonly version: string } | { readonly kind: "refused"; readonly reason: string };

async function probe(candidate: Candidate, stateDir: string, signal: AbortSignal): Promise<Answer> {
  const dir = mkdtempSync(join(stateDir, "probe-"));
  const env = { PATH: `${process.env["PATH"] ?? ""}:${DEFAULT_PATH}` };
  const id = `berth-probe-${crypto.randomUUID()}`;
  const operations = chosenOperations(candidate, { root: join(dir, "state"), bundle: dir, id });
  try {
    mkdirSync(join(dir, "state"), { mode: 0o700 });
    makeProbeBundle(dir);
    const result = await runChild(operations.run, { env, cwd: dir, signal, timeoutMs: PROBE_TIMEOUT_MS });
    if (shellCode(result.status) !== 0) return { kind: "refused", reason: explain(result) };
    const { stdout } = await runChild([candidate.path, "--version"], { env, cwd: "/", signal, timeoutMs: PROBE_TIMEOUT_MS });
    return { kind: "works", version: /^(?:runc|crun) version \S+/.exec(stdout)?.[0].replace(" version", "") ?? candidate.name };
  } finally {
    if (existsSync(join(dir, "state", id)) && operations.delete !== undefined) {
      await runChild(operations.delete, {
        env,
        cwd: "/",
        signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
        timeoutMs: PROBE_TIMEOUT_MS,
      }).catch(() => undefined); // the probe's own answer matters more
    }
    rmSync(dir, { recursive: true, force: true });
  }
}

/** What a usual bundle asks for, over the host's own programs, read-only. */
export function makeProbeBundle(dir: string): void {
  const rootfs = join(dir, "rootfs");
  mkdirSync(rootfs);
  for (const name of ["proc", "dev", "sys", "tmp"]) mkdirSync(join(rootfs, name));
  const binds = [];
  for (const name of ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu"]) {
    const stat = lstatSync(`/${name}`, { throwIfNoEntry: false });
    if (stat?.isSymbolicLink() === true) symlinkSync(readlinkSync(`/${name}`), join(rootfs, name));
    else if (stat?.isDirectory() === true) {
      mkdirSync(join(rootfs, name));
      binds.push({ destination: `/${name}`, type: "none", source: `/${name}`, options: ["rbind", "ro"] });
    }
  }
  const config = toJson({
    ociVersion: "1.0.2",
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: ["/bin/true"],
      env: [`PATH=${DEFAULT_PATH}`],
      cwd: "/",
      capabilities: {},
      noNewPrivileges: true,
    },
    root: { path: rootfs, readonly: true },
    hostname: "probe",
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=65536k"] },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
      },
      { destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] },
      { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
      { destination: "/sys", type: "none", source: "/sys", options: ["rbind", "nosuid", "noexec", "nodev", "ro"] },
      ...binds,
    ],
    linux: {
      resources: { devices: [{ allow: false, access: "rwm" }] },
      namespaces: ["pid", "ipc", "uts", "mount"].map((type) => ({ type })),
      maskedPaths: ["/proc/kcore", "/sys/firmware"],
      readonlyPaths: ["/proc/sys"],
    },
  }) as JsonObject;
  const uid = process.geteuid?.() ?? 0;
  if (uid !== 0) completeForRootless(config, { uid, gid: process.getegid?.() ?? 0 }, "other");
  writeFileSync(join(dir, "config.json"), printJson(config), { mode: 0o600, flag: "wx" });
}

function describe(version: string, refusals: readonly Refusal[]): string {
  const why = refusals.length === 0 ? "" : `: ${refusals.map((refusal) => `${refusal.name} refused: ${refusal.reason}`).join("; ")}`;
  return `${version} (chosen by Berth${why})`;
}

function noneWorks(refusals: readonly Refusal[]): BerthError {
  if (refusals.length === 0) {
    return new BerthError("RUNTIME_MISSING", `Cannot run containers: no OCI runtime is installed (looked for ${NAMES.join(" and ")})`, {
      hint: "install one (Debian and Ubuntu: apt-get install crun runc; Fedora and RHEL: dnf install crun), or name a runtime in oci.conf",
    });
  }
  const reasons = refusals.map((refusal) => `${refusal.path}: ${refusal.reason}`).join(" | ");
  const hints = adviceFor(refusals);
  return new BerthError("RUNTIME_REFUSED", `Cannot run containers: no installed OCI runtime works here (${reasons})`, {
    hint: hints.join("; "),
  });
}

function adviceFor(refusals: readonly Refusal[]): readonly string[] {
  const hints = blockedNamespaces();
  if (refusals.some((refusal) => refusal.reason.includes("hybrid"))) {
    hints.push(
      refusals.some((refusal) => refusal.name === "runc")
        ? "crun wants a host with cgroup v2 only (kernel parameter systemd.unified_cgroup_hierarchy=1)"
        : "crun wants a host with cgroup v2 only (kernel parameter systemd.unified_cgroup_hierarchy=1): install runc (apt-get install runc), which does not",
    );
  } else if (!refusals.some((refusal) => refusal.name === "runc")) hints.push("install another runtime (apt-get install runc)");
  else if (!refusals.some((refusal) => refusal.name === "crun")) hints.push("install another runtime (apt-get install crun)");
  if (hints.length === 0) hints.push('try it by hand in a directory made with "runc spec --rootless", or name a runtime in oci.conf');
  return hints;
}

/** Settings that keep users from making user namespaces, by the name that sysctl(8) takes. */
function blockedNamespaces(): string[] {
  if ((process.geteuid?.() ?? 0) === 0) return [];
  const value = (name: string) => attempt(() => readFileSync(`/proc/sys/${name.replaceAll(".", "/")}`, "latin1").trim());
  const hints: string[] = [];
  const blocked = (name: string, bad: string, good: string) => {
    if (value(name) === bad) hints.push(`user namespaces are switched off: the administrator can run "sysctl -w ${name}=${good}"`);
  };
  blocked("kernel.unprivileged_userns_clone", "0", "1");
  blocked("user.max_user_namespaces", "0", "15000");
  blocked("kernel.apparmor_restrict_unprivileged_userns", "1", "0");
  return hints;
}
