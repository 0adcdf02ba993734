/** Where slurmrestd is and the token that proves who asks. The token is in no argument, no message and no job's environment. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { settingIn } from "#options/conf-lines.ts";
import { findBerthConf } from "#platform/berth-conf.ts";
import { directories } from "#platform/directories.ts";

export interface RestAddress {
  /** `https://host:6820` or `unix:/path`. */
  readonly url: string;
  /** In words, for `berth info`. */
  readonly reason: string;
}

type Env = Readonly<Record<string, string | undefined>>;

/** BERTH_SLURM_REST, then `SlurmRest=` in berth.conf; undefined when Slurm's own commands are to be used. */
export function findRestAddress(env: Env = process.env): RestAddress | undefined {
  const wanted = env["BERTH_SLURM_REST"];
  if (wanted !== undefined) return wanted === "" ? undefined : { url: checked(wanted), reason: `BERTH_SLURM_REST=${wanted}` };
  const { file, text } = findBerthConf(env);
  const url = settingIn(text, "SlurmRest");
  return url === undefined ? undefined : { url: checked(url), reason: `SlurmRest=${url} in ${file}` };
}

function checked(url: string): string {
  if (/^unix:\/./.test(url)) return url;
  if (URL.canParse(url)) {
    const { protocol, username, password } = new URL(url);
    if ((protocol === "https:" || protocol === "http:") && username === "" && password === "") return url.replace(/\/+$/, "");
  }
  throw new BerthError("SLURM_REST", "The address of slurmrestd is not one", {
    hint: "BERTH_SLURM_REST wants https://HOST:PORT, http://HOST:PORT or unix:/PATH, without a user or a password",
  });
}

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
