/**
 * Which berth.conf counts, for every key and every reader alike: the file that BERTH_CONF names, or the user's; when that does not exist the
 * site's. One file, whole: nothing is put together from two, as Slurm reads one slurm.conf.
 */
import { BerthError } from "#job/errors.ts";
import { directories, SITE_CONFIG_DIR } from "./directories.ts";
import { inDirectory, readTextFile } from "./system.ts";

const NAME = "berth.conf";

export interface BerthConf {
  readonly file: string;
  /** "" where there is none: `file` is where it would be looked for first. */
  readonly text: string;
}

type Env = Readonly<Record<string, string | undefined>>;

/** @throws BerthError CONFIG when BERTH_CONF cannot name one, or the file cannot be read */
export function findBerthConf(env: Env = process.env, siteDir = SITE_CONFIG_DIR): BerthConf {
  const named = env["BERTH_CONF"] ?? "";
  if (named !== "" && !(named.startsWith("/") && named.endsWith(`/${NAME}`))) {
    throw new BerthError("CONFIG", `BERTH_CONF is "${named}", which cannot be used`, {
      hint: `it wants the absolute path of a file called ${NAME}: jobs know the engine by that name`,
    });
  }
  const files = [directories(env).config, siteDir].map((dir) => inDirectory(dir, NAME));
  for (const file of files) {
    try {
      return { file, text: readTextFile(file) };
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "ENOTDIR") continue;
      throw new BerthError("CONFIG", `Cannot read ${file} (${code})`, {
        hint: "make it a file that you may read, or remove it",
        cause: error,
      });
    }
  }
  return { file: files[0] ?? inDirectory(siteDir, NAME), text: "" };
}
