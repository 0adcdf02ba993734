/** The OCI runtime that does what scrun stands for: the one that oci.conf names, else the one that works here. */
import { basename } from "node:path";
import { DEFAULT_PATH } from "#container/environment.ts";
import { findOciConf, readOciConf } from "#container/oci-conf.ts";
import { chooseRuntime } from "#container/runtime-choice.ts";
import { directories, SITE_CONFIG_DIR } from "#platform/directories.ts";
import { ensurePrivateDir } from "#platform/private-directory.ts";
import { findProgram } from "#platform/find-program.ts";

/** Runtimes whose command line is runc's: an oci.conf that names another one is for the nodes only. */
const LIKE_RUNC = /^(runc|crun|youki|nvidia-container-runtime)$/;

/** An absolute path. @throws BerthError RUNTIME_MISSING, RUNTIME_REFUSED, OCI_CONF_… */
export async function findRealRuntime({ signal }: { readonly signal: AbortSignal }): Promise<string> {
  const { config, state } = directories();
  const file = findOciConf([config, SITE_CONFIG_DIR]);
  if (file !== undefined) {
    const { operations } = await readOciConf(file);
    const [first] = operations.create ?? operations.run ?? [];
    const [name = ""] = typeof first === "string" ? first.trim().split(/\s+/) : [];
    const path = LIKE_RUNC.test(basename(name)) ? pathOf(name) : undefined;
    if (path !== undefined) return path;
  }
  return (await chooseRuntime(ensurePrivateDir(state), { signal })).path;
}

function pathOf(name: string): string | undefined {
  return name.startsWith("/") ? name : findProgram(name, `${process.env["PATH"] ?? ""}:${DEFAULT_PATH}`);
}
