/** The host that the doctor looks at, and what is said of it. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { shellCode } from "#job/outcome.ts";
import { runChild } from "#platform/child.ts";
import { findProgram } from "#platform/find-program.ts";
import { userName } from "#platform/users.ts";
import { DEFAULT_PATH } from "../environment.ts";

export interface Diagnosis {
  readonly name: string;
  /** `info`: nothing to judge. `error`: container jobs cannot run here until it is mended. */
  readonly state: "ok" | "info" | "warning" | "error";
  readonly found: string;
  readonly why: string;
  /** The command that mends it, or what to do. */
  readonly cure: string | null;
}

export class Host {
  readonly uid = process.geteuid?.() ?? 0;
  readonly user = userName(this.uid);
  readonly env = { PATH: `${process.env["PATH"] ?? ""}:${DEFAULT_PATH}`, HOME: process.env["HOME"] ?? homedir(), LC_ALL: "C" };

  find(program: string): string | undefined {
    return findProgram(program, this.env.PATH);
  }

  /** First line of what a program prints; undefined when it fails. */
  async ask(...argv: readonly [string, ...string[]]): Promise<string | undefined> {
    const result = await runChild(argv, { env: this.env, cwd: "/", signal: new AbortController().signal, timeoutMs: 10_000 });
    return shellCode(result.status) === 0 ? ((result.stdout || result.stderr).split("\n")[0]?.trim() ?? "") : undefined;
  }
}

/** Undefined for a file that is not on this kernel, or not for us. */
export function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}
