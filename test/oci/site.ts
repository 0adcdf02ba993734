// For tests: a site of its own (directories, controller, oci.conf, programs first in PATH), with a busybox bundle.
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Place } from "#container/busybox-bundle.ts";
import type { JournalEntry } from "#step/journal.ts";

const ROOT = join(import.meta.dir, "../..");

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class Site implements AsyncDisposable {
  readonly place = new Place();
  readonly dir = this.place.dir;
  readonly bundle = this.place.bundle;
  readonly bin = join(this.dir, "bin");
  readonly runtimeRoot = join(this.dir, "rt");
  readonly #log = join(this.dir, "calls");
  readonly #wrap: readonly string[];
  readonly env: Record<string, string>;

  /** @param wrap what every command is started through */
  constructor({ wrap = [] }: { readonly wrap?: readonly string[] } = {}) {
    this.#wrap = wrap;
    for (const name of ["bin", "home", "run", "berth"]) mkdirSync(join(this.dir, name), { mode: 0o700, recursive: true });
    this.env = {
      HOME: join(this.dir, "home"),
      BERTH_ENGINE: "embedded",
      XDG_RUNTIME_DIR: join(this.dir, "run"),
      XDG_STATE_HOME: join(this.dir, "state"),
      XDG_CONFIG_HOME: this.dir,
      PATH: `${this.bin}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin`,
      LANG: "C.UTF-8",
      TERM: "dumb",
    };
    this.berthConf("KillWait=2\n");
    this.place.makeBundle();
  }

  conf(text: string): void {
    writeFileSync(join(this.dir, "berth/oci.conf"), text);
  }

  berthConf(text: string): void {
    writeFileSync(join(this.dir, "berth/berth.conf"), text);
  }

  start(argv: readonly string[], env: Record<string, string> = {}) {
    return Bun.spawn([...this.#wrap, process.execPath, join(ROOT, "src/main.ts"), ...argv], {
      cwd: this.dir,
      env: { ...this.env, ...env },
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
  }

  async run(
    argv: readonly string[],
    { input = "", env = {} }: { readonly input?: string; readonly env?: Record<string, string> } = {},
  ): Promise<Outcome> {
    const child = this.start(argv, env);
    child.stdin.write(input);
    await child.stdin.end();
    const [code, stdout, stderr] = await Promise.all([child.exited, new Response(child.stdout).text(), new Response(child.stderr).text()]);
    return { code, stdout, stderr };
  }

  /** A program that writes its arguments down and then does `body` (sh). */
  recorder(name: string, body: string): void {
    const path = join(this.bin, name);
    writeFileSync(path, `#!/bin/sh\n{ printf '%s\\0' '${name}' "$@"; printf '\\1'; } >> '${this.#log}'\n${body}\n`);
    chmodSync(path, 0o755);
  }

  /** What the recorders were called with, in order; forgets it. */
  calls(): string[][] {
    if (!existsSync(this.#log)) return [];
    const text = readFileSync(this.#log, "utf8");
    rmSync(this.#log);
    return text
      .split("\u0001")
      .slice(0, -1)
      .map((record) => record.split("\0").slice(0, -1));
  }

  /** Spool directories of running steps. */
  spools(): string[] {
    const [host] = existsSync(join(this.dir, "state/berth")) ? readdirSync(join(this.dir, "state/berth")) : [];
    const spool = join(this.dir, "state/berth", host ?? "none", "spool");
    return existsSync(spool) ? readdirSync(spool).map((name) => join(spool, name)) : [];
  }

  journal(): JournalEntry[] {
    return this.spools().flatMap((dir) =>
      existsSync(join(dir, "journal"))
        ? readFileSync(join(dir, "journal"), "utf8")
            .trimEnd()
            .split("\n")
            .map((line) => JSON.parse(line) as JournalEntry)
        : [],
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let tries = 0; tries < 3; tries++) {
      if ((await this.run(["daemon", "stop", "--jobs"])).stdout.includes("does not run")) break;
      await Bun.sleep(100); // a spare that lost its place may have started another controller just before
    }
    this.place[Symbol.dispose]();
  }
}

/** Waits for a fact, with a bound. */
export async function until<T>(what: string, look: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
  for (const end = Date.now() + 20_000; Date.now() < end; await Bun.sleep(20)) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
  }
  throw new Error(`waited in vain for ${what}`);
}

/** A private mount namespace with cgroup v2 alone, which crun wants (testbed.md); undefined where we may not. */
export function cgroup2Wrap(): readonly string[] | undefined {
  if (process.geteuid?.() !== 0) return existsSync("/sys/fs/cgroup/cgroup.controllers") ? [] : undefined;
  return [
    "unshare",
    "-m",
    "--propagation",
    "private",
    "sh",
    "-c",
    'umount -R /sys/fs/cgroup 2>/dev/null; mount -t cgroup2 none /sys/fs/cgroup; mount --make-rshared /; exec "$@"',
    "sh",
  ];
}
