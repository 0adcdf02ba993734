/** `berth bundle create|check`: directories that `--container` takes. */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { checkBundle, type Finding } from "#container/bundle-check.ts";
import { createBundle, type BundleSource } from "#container/bundle-create.ts";
import { checkLifecycle } from "#container/lifecycle-check.ts";
import { findOciConf } from "#container/oci-conf.ts";
import { BerthError } from "#job/errors.ts";
import { directories, SITE_CONFIG_DIR } from "#platform/directories.ts";
import { ensurePrivateDir } from "#platform/private-directory.ts";
import { complain, printLines } from "./terminal.ts";

const USAGE = `Usage: berth bundle create SOURCE DIR [--shared]
       berth bundle create --mmdebstrap SUITE [--include PKG,...] [--mirror URL] DIR
       berth bundle check DIR [--json]
  create   makes DIR with config.json and rootfs, ready for --container
           SOURCE: a directory with a root file system, or a tar archive of one (docker export)
           --mmdebstrap SUITE, --debootstrap SUITE: a Debian or Ubuntu release, for example bookworm
           --shared: for several users; without it config.json is for you (or root, whoever calls)
  check    looks for mistakes, then runs two containers of it`;

export async function bundle(argv: readonly string[]): Promise<number> {
  const [command = "--help", ...rest] = argv;
  if (rest.includes("--help") || rest.includes("-h") || ["--help", "-h", "help"].includes(command)) {
    printLines([USAGE]);
    return 0;
  }
  if (command === "create") return await create(rest);
  if (command === "check") return await check(rest);
  return usageError(`there is no "bundle ${command}"`);
}

function usageError(reason: string): number {
  complain(`berth: error: ${reason}`, 'Try "berth bundle --help" for more information');
  return 255;
}

function user(): { readonly uid: number; readonly gid: number } {
  return { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
}

async function create(words: readonly string[]): Promise<number> {
  const options = new Map<string, string>();
  const operands: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const [name = "", inline] = (words[i] ?? "").split(/=(.*)/s, 2);
    if (name === "--shared") options.set(name, "");
    else if (["--mmdebstrap", "--debootstrap", "--include", "--mirror"].includes(name)) {
      const value = inline ?? words[++i];
      if (value === undefined || value === "" || value.startsWith("-")) return usageError(`${name} wants a value`);
      options.set(name, value);
    } else if (name.startsWith("-")) return usageError(`bundle create does not know ${JSON.stringify(words[i])}`);
    else operands.push(words[i] as string);
  }
  const source = sourceOf(options, operands);
  const target = operands.at(-1);
  if (source === undefined || target === undefined || target === "")
    return usageError("bundle create wants SOURCE and DIR, or --mmdebstrap SUITE and DIR");
  const stop = new AbortController();
  const onSignal = () => stop.abort(new BerthError("INTERRUPTED", "Interrupted: nothing was made"));
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  await createBundle(source, target, { owner: options.has("--shared") ? null : user(), signal: stop.signal });
  printLines([`Made ${resolve(target)}`, `Try it: berth srun --container ${resolve(target)} cat /etc/os-release`]);
  return 0;
}

function sourceOf(options: ReadonlyMap<string, string>, operands: readonly string[]): BundleSource | undefined {
  for (const tool of ["mmdebstrap", "debootstrap"] as const) {
    const suite = options.get(`--${tool}`);
    if (suite === undefined) continue;
    if (operands.length !== 1) return undefined;
    return {
      kind: "suite",
      tool,
      suite,
      mirror: options.get("--mirror") ?? null,
      include: (options.get("--include") ?? "").split(",").filter((name) => name !== ""),
    };
  }
  const [path] = operands;
  if (operands.length !== 2 || path === undefined) return undefined;
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined)
    throw new BerthError("BUNDLE_CREATE", `Cannot make a bundle: ${JSON.stringify(path)} does not exist`, {
      hint: "SOURCE is a directory or a tar archive; images of a registry are made bundles by skopeo copy and umoci unpack (README)",
    });
  return { kind: stat.isDirectory() ? "directory" : "tar", path };
}

async function check(words: readonly string[]): Promise<number> {
  const isJson = words.includes("--json");
  const [path, ...extra] = words.filter((word) => word !== "--json");
  if (path === undefined || extra.length > 0 || path.startsWith("-")) return usageError("bundle check wants one directory");
  const findings: Finding[] = [...checkBundle(resolve(path), user())];
  if (findings.every(({ level }) => level !== "error")) {
    const confFile = findOciConf([directories().config, SITE_CONFIG_DIR]) ?? null;
    ensurePrivateDir(directories().runtime);
    const steps = await checkLifecycle({
      confFile,
      bundle: resolve(path),
      stateDir: ensurePrivateDir(directories().state),
      signal: new AbortController().signal,
    });
    for (const step of steps) {
      findings.push({
        level: step.isOk ? "ok" : "error",
        what: `${step.name}: ${step.detail}`,
        cure: step.isOk ? null : "berth oci check tells whether the runtime is to blame",
      });
    }
  }
  if (isJson) printLines([JSON.stringify(findings, null, 2)]);
  else {
    const words = { ok: "ok     ", warning: "warning", error: "ERROR  " };
    printLines(findings.flatMap(({ level, what, cure }) => [`${words[level]} ${what}`, ...(cure === null ? [] : [`        ${cure}`])]));
  }
  return findings.some(({ level }) => level === "error") ? 1 : 0;
}
