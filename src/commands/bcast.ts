/**
 * Copying a file to where tasks find it, for sbcast and `srun --bcast`. All nodes of the embedded engine are this machine,
 * so that a file is on all of them once it is copied.
 */
import { randomUUID } from "node:crypto";
import { chmod, copyFile, link, mkdir, rename, rm, stat, utimes } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { libraryDir } from "#options/bcast.ts";
import { runChild } from "#platform/child.ts";

export interface CopyOptions {
  readonly force: boolean;
  /** Times too. */
  readonly preserve: boolean;
}

/** The file appears whole or not at all; a crash leaves at most `<path>.part-*`. Without `force` an existing file stays. */
export async function copyWhole(source: string, path: string, { force, preserve }: CopyOptions): Promise<void> {
  await stat(dirname(path)); // Bun's copyFile would make it
  const part = `${path}.part-${randomUUID()}`;
  try {
    await copyFile(source, part);
    const { mode, atime, mtime } = await stat(source);
    await chmod(part, mode & 0o7777);
    if (preserve) await utimes(part, atime, mtime);
    if (force) await rename(part, path);
    else await link(part, path); // unlike a rename it fails when there is a file already
  } finally {
    await rm(part, { force: true });
  }
}

const LDD_MS = 30_000;

/** Copies what the program at `source` is linked with, but for `exclude`d directories, beside `path`. */
export async function copyLibraries(
  source: string,
  path: string,
  options: CopyOptions & { readonly exclude: readonly string[] },
): Promise<void> {
  const dir = libraryDir(path);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  for (const library of await librariesOf(source)) {
    if (options.exclude.some((excluded) => library === excluded || library.startsWith(`${excluded}/`))) continue;
    await copyWhole(library, join(dir, basename(library)), { ...options, force: true });
  }
}

/** By the dynamic linker's own account; nothing for a script or a program that is linked statically. */
async function librariesOf(program: string): Promise<string[]> {
  const { stdout } = await runChild(["ldd", program], {
    env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", LD_LIBRARY_PATH: process.env["LD_LIBRARY_PATH"] ?? "", LC_ALL: "C" },
    cwd: "/",
    signal: new AbortController().signal,
    timeoutMs: LDD_MS,
  });
  return [...stdout.matchAll(/^\t\S+ => (\/.*?) \(0x[0-9a-f]+\)$/gm)].map(([, path = ""]) => path);
}
