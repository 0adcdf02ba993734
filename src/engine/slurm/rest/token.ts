/** The token that proves to slurmrestd who asks. It is in no argument, no message and no job's environment. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { directories } from "#platform/directories.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** SLURM_JWT, else the file that BERTH_SLURM_TOKEN_FILE names, else slurm.token beside the user's berth.conf. @throws BerthError SLURM_TOKEN */
export function readToken(env: Env = process.env): string {
  const given = env["SLURM_JWT"];
  if (given !== undefined && given !== "") return tokenOf(given, "SLURM_JWT");
  const path = env["BERTH_SLURM_TOKEN_FILE"] || join(directories().config, "slurm.token");
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK); // a pipe must not make us wait
  } catch (cause) {
    throw new BerthError("SLURM_TOKEN", `There is no token for slurmrestd: SLURM_JWT is not set and ${path} cannot be read`, {
      hint: 'on a login host of the cluster "scontrol token" makes one',
      cause,
    });
  }
  try {
    const { mode, uid } = fstatSync(fd);
    if ((mode & 0o077) !== 0 || (uid !== process.getuid?.() && uid !== 0)) {
      throw new BerthError("SLURM_TOKEN", `Others may read the token in ${path}, or it is not yours`, { hint: `chmod 600 ${path}` });
    }
    return tokenOf(readFileSync(fd, "utf8"), path);
  } finally {
    closeSync(fd);
  }
}

/** As it is, or as `scontrol token` prints it. What does not look like a token would only fail later, in a header. */
function tokenOf(text: string, where: string): string {
  const token = text.trim().replace(/^SLURM_JWT=/, "");
  if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return token;
  throw new BerthError("SLURM_TOKEN", `What ${where} holds is not a token`, { hint: '"scontrol token" on a login host makes one' });
}

/** Whom a token of Slurm's stands for: its claim `sun`. Versions to 22.05 want the name besides the token. */
export function userOfToken(token: string): string | undefined {
  try {
    const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8")) as { readonly sun?: unknown } | null;
    const name = claims?.sun;
    return typeof name === "string" && /^[\w.@-]+$/.test(name) ? name : undefined;
  } catch {
    return undefined; // made by others, in a form of their own
  }
}
