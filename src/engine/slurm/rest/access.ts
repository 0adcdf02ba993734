/** Where slurmrestd is. Every command asks, to know its engine. */
import { BerthError } from "#job/errors.ts";
import { settingIn } from "#options/conf-lines.ts";
import { findBerthConf } from "#platform/berth-conf.ts";

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
