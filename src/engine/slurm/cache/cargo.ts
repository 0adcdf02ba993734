/** What nodes may lack, by content: the bundle and the Berth executable. */
import { createReadStream, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readBundle } from "#container/bundle.ts";
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import { runChild } from "#platform/child.ts";
import { directories } from "#platform/directories.ts";
import { ensurePrivateDir } from "#platform/private-directory.ts";
import { spawnPiped } from "#platform/piped-process.ts";

export interface Cargo {
  readonly bundle: string;
  readonly rootfs: string;
  readonly configSha: string;
  /** Of the archive that `archiveCommand` makes. */
  readonly bundleSha: string;
  readonly executable: string;
  /** `SIZE MTIME`, as stat(1) prints them. */
  readonly executableStamp: string;
  readonly executableSha: string;
}

const ARCHIVE = ["tar", "--sort=name", "--numeric-owner", "--owner=0", "--group=0", "--format=gnu"] as const;

/** The same files give the same bytes. */
export function archiveCommand(bundle: string): [string, ...string[]] {
  return [...ARCHIVE, "-C", bundle, "-cf", "-", "."];
}

/** A root file system alone, as the rootfs of a bundle that has nothing else. */
export function rootfsArchiveCommand(rootfs: string): [string, ...string[]] {
  return [...ARCHIVE, "--transform=s,^\\.,rootfs,S", "-C", rootfs, "-cf", "-", "."];
}

/** Its digest, and the executable's with what tells one from another at a glance. @throws BerthError TRANSFER */
export async function rootfsSha(rootfs: string, { signal }: { readonly signal: AbortSignal }): Promise<string> {
  const print = await fingerprint(rootfs, signal);
  return await new ShaMemory().get(rootfs, print, () => shaOf(tar(rootfsArchiveCommand(rootfs)), rootfs));
}

export async function describeExecutable(executable: string): Promise<Pick<Cargo, "executableStamp" | "executableSha">> {
  const { size, mtimeMs } = statSync(executable);
  const executableStamp = `${size} ${Math.floor(mtimeMs / 1000)}`;
  const executableSha = await new ShaMemory().get(
    executable,
    `${executableStamp} ${mtimeMs}`,
    async () => await hash(createReadStream(executable)),
  );
  return { executableStamp, executableSha };
}

function tar(command: readonly [string, ...string[]]): ReturnType<typeof spawnPiped> {
  return spawnPiped(command, { env: { PATH: "/usr/bin:/bin", LC_ALL: "C" }, cwd: "/" });
}

/** @throws BerthError BUNDLE_*, TRANSFER */
export async function describeCargo(bundle: string, executable: string, { signal }: { readonly signal: AbortSignal }): Promise<Cargo> {
  const { rootfs } = readBundle(bundle);
  if (!rootfs.startsWith(`${bundle}/`)) {
    throw new BerthError("TRANSFER", `Cannot send bundle ${bundle} to the nodes: its root file system ${rootfs} is outside of it`, {
      hint: "move it into the bundle, or both to a file system that the nodes share",
    });
  }
  const print = await fingerprint(bundle, signal);
  return {
    bundle,
    rootfs,
    executable,
    configSha: new Bun.CryptoHasher("sha256").update(readFileSync(join(bundle, "config.json"))).digest("hex"),
    bundleSha: await new ShaMemory().get(bundle, print, () => shaOf(tar(archiveCommand(bundle)), bundle)),
    ...(await describeExecutable(executable)),
  };
}

/** Changes when any file of the bundle does: names, sizes, times, modes and links of all of them. */
async function fingerprint(bundle: string, signal: AbortSignal): Promise<string> {
  const script = `cd "$1" && find . -printf '%P %y %s %T@ %C@ %m %l\\n' | LC_ALL=C sort | sha256sum`;
  const { stdout, stderr, status } = await runChild(["/bin/sh", "-c", script, "sh", bundle], {
    env: { PATH: "/usr/bin:/bin" },
    cwd: "/",
    signal,
    timeoutMs: 600_000,
  });
  if (shellCode(status) !== 0 || stderr.trim() !== "") throw unreadable(bundle, stderr);
  return stdout.trim();
}

async function shaOf(tar: ReturnType<typeof spawnPiped>, bundle: string): Promise<string> {
  tar.endInput();
  const said = new Response(tar.stderr as ReadableStream<Uint8Array>).text();
  const sha = await hash(tar.stdout);
  if (shellCode(await tar.exited) !== 0) throw unreadable(bundle, await said);
  return sha;
}

function unreadable(bundle: string, said: string): BerthError {
  return new BerthError("TRANSFER", `Cannot read all of bundle ${bundle}: ${said.trim().split("\n", 1)[0] ?? ""}`, {
    hint: "make its files readable for you, or put it on a file system that the nodes share",
  });
}

async function hash(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  for await (const chunk of stream) hasher.update(chunk);
  return hasher.digest("hex");
}

const MAX_KNOWN = 64;
type Digests = Readonly<Record<string, { readonly print: string; readonly sha: string }>>;

/** Digests of things that have not changed since: a large bundle takes seconds to read. Losing the file costs only that. */
class ShaMemory {
  readonly #file = join(ensurePrivateDir(directories().state), "digests.json");
  #known: Digests;

  constructor() {
    try {
      this.#known = JSON.parse(readFileSync(this.#file, "utf8")) as Digests; // our own file in our own 0700 directory
    } catch {
      this.#known = {};
    }
  }

  async get(path: string, print: string, compute: () => Promise<string>): Promise<string> {
    const known = this.#known[path];
    if (known?.print === print) return known.sha;
    const sha = await compute();
    this.#known = Object.fromEntries(
      [[path, { print, sha }], ...Object.entries(this.#known).filter(([other]) => other !== path)].slice(0, MAX_KNOWN),
    );
    const part = `${this.#file}.part-${process.pid}`;
    writeFileSync(part, JSON.stringify(this.#known), { mode: 0o600 });
    renameSync(part, this.#file);
    return sha;
  }
}
