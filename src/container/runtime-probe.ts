/** Whether a runtime works here is tried, not guessed: a trivial container is run once, as this user, over the host's own programs. */
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path/posix";
import { shellCode } from "#job/outcome.ts";
import { runChild } from "#platform/child.ts";
import { DEFAULT_PATH } from "./environment.ts";
import { printJson, toJson, type JsonObject } from "./json.ts";
import { completeForRootless } from "./rootless.ts";
import { explain } from "./runtime-calls.ts";
import { chosenOperations, type ChosenRuntime } from "./runtime.ts";

const PROBE_TIMEOUT_MS = 15_000;

export type ProbeAnswer = { readonly kind: "works"; readonly version: string } | { readonly kind: "refused"; readonly reason: string };

export async function probeRuntime(
  runtime: Pick<ChosenRuntime, "name" | "path">,
  stateDir: string,
  signal: AbortSignal,
): Promise<ProbeAnswer> {
  const dir = mkdtempSync(join(stateDir, "probe-"));
  const env = { PATH: `${process.env["PATH"] ?? ""}:${DEFAULT_PATH}` };
  const id = `berth-probe-${crypto.randomUUID()}`;
  const operations = chosenOperations(runtime, { root: join(dir, "state"), bundle: dir, id });
  try {
    mkdirSync(join(dir, "state"), { mode: 0o700 });
    makeProbeBundle(dir);
    const result = await runChild(operations.run, { env, cwd: dir, signal, timeoutMs: PROBE_TIMEOUT_MS });
    if (shellCode(result.status) !== 0) return { kind: "refused", reason: explain(result) };
    const { stdout } = await runChild([runtime.path, "--version"], { env, cwd: "/", signal, timeoutMs: PROBE_TIMEOUT_MS });
    return { kind: "works", version: /^(?:runc|crun) version \S+/.exec(stdout)?.[0].replace(" version", "") ?? runtime.name };
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
