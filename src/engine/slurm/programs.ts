/** Finding the site's own Slurm programs: the ones in PATH that are not links to Berth. */
import { BerthError } from "#job/errors.ts";
import { ACCESS, canAccess, findStatus, inDirectory } from "#platform/system.ts";
import { asRealUser } from "#platform/users.ts";

/** Where sites put Slurm when it is in nobody's PATH. */
const USUAL_DIRS = [
  "/usr/bin",
  "/usr/sbin",
  "/usr/local/bin",
  "/usr/local/sbin",
  "/opt/slurm/bin",
  "/opt/slurm/sbin",
  "/usr/local/slurm/bin",
];

/** The site's own `name`; undefined when only Berth's link, or nothing, is there. */
export function findSiteProgram(name: string, path: string = process.env["PATH"] ?? ""): string | undefined {
  const own = findStatus(process.execPath)?.identity;
  for (const dir of [...path.split(":"), ...USUAL_DIRS]) {
    if (!dir.startsWith("/")) continue;
    const candidate = inDirectory(dir, name);
    if (canAccess(candidate, ACCESS.execute) && findStatus(candidate)?.identity !== own) return candidate;
  }
  return undefined;
}

/** @throws BerthError SLURM_MISSING */
export function getSiteProgram(name: string): string {
  const found = findSiteProgram(name);
  if (found !== undefined) return found;
  throw new BerthError("SLURM_MISSING", `Slurm's own "${name}" is not installed here`, {
    hint:
      "install Slurm's client commands (Debian: apt-get install slurm-client), add their directory to PATH, " +
      "or use the embedded engine: BERTH_ENGINE=embedded",
  });
}

/** The words that run it as the user who is known to Slurm. @throws BerthError SLURM_MISSING */
export function siteWords(name: string): [string, ...string[]] {
  return [...asRealUser(), getSiteProgram(name)] as unknown as [string, ...string[]];
}
