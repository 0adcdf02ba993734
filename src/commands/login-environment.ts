/** What a login of this user sets: for batch scripts that do not get the submitter's environment (sbatch(1), --export, --get-user-env). */
import { runChild } from "#platform/child.ts";
import { ownAccount } from "#platform/users.ts";

const LOGIN_MS = 8000;
const DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";

/** A login shell that hangs or fails gives what login(1) itself would set. */
export async function loginEnvironment(): Promise<Record<string, string>> {
  const { name, home, shell } = ownAccount();
  const base = { HOME: home, USER: name, LOGNAME: name, SHELL: shell, PATH: DEFAULT_PATH };
  try {
    const result = await runChild([base.SHELL, "-lc", "env -0"], {
      env: base,
      cwd: home,
      signal: new AbortController().signal,
      timeoutMs: LOGIN_MS,
    });
    const found: Record<string, string> = { ...base };
    for (const entry of result.stdout.split("\0")) {
      const equals = entry.indexOf("=");
      const name = entry.slice(0, equals);
      if (equals > 0 && name !== "_" && name !== "SHLVL" && name !== "PWD" && !name.includes("\n")) found[name] = entry.slice(equals + 1);
    }
    return found;
  } catch {
    return base;
  }
}
