/** Which files make podman and docker use scrun, with each value's reason. Pure: all I/O is in files.ts and host.ts. */
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import type { Host } from "./host.ts";

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** One value inside somebody else's JSON file. */
export interface JsonSetting {
  readonly keys: readonly string[];
  readonly value: Json;
  readonly why: string;
  /** What the file says already stays: the value is only a sensible start. */
  readonly yields?: boolean;
}

export type PlannedFile =
  /** The whole file is ours: a drop-in beside what the user wrote. */
  | { readonly kind: "own"; readonly path: string; readonly text: string; readonly isProgram?: true }
  /** Some keys of a file that engines read only one of. */
  | { readonly kind: "json"; readonly path: string; readonly settings: readonly JsonSetting[] };

export interface Plan {
  readonly files: readonly PlannedFile[];
  /** What was left alone, and why; what to do next. */
  readonly notes: readonly string[];
}

export interface Places {
  /** `/etc`, or the user's configuration directory. */
  readonly config: string;
  /** Where podman looks without XDG_CONFIG_HOME, when that is another place: its clean-up process has none. */
  readonly plainConfig?: string;
  readonly isSystem: boolean;
  /** The user's PATH: where a daemon of his own finds its programs. */
  readonly path?: string;
  readonly exists: (path: string) => boolean;
}

/** Podman's own list (containers.conf(5)): the key replaces it. */
const RUNTIMES_WITH_JSON = ["crun", "runc", "kata", "runsc", "youki", "krun", "scrun"];
/** The same of those that can do without a cgroup; its manual has the key with an s, which podman does not read. */
const RUNTIMES_WITHOUT_CGROUPS = ["crun", "krun", "scrun"];

type TomlTable = readonly [table: string, settings: readonly (readonly [key: string, value: Json, why: string])[]];

function writeToml(command: string, tables: readonly TomlTable[]): string {
  const lines = [`# Written by "${command}"; "${command} --undo" takes it back. Your own settings are in other files, which stay.`];
  for (const [table, settings] of tables) {
    if (settings.length === 0) continue;
    lines.push("", `[${table}]`);
    // A JSON string, boolean or list of strings is TOML as it is, once characters that only JSON allows are escaped.
    for (const [key, value, why] of settings) lines.push(`# ${why}`, `${key} = ${JSON.stringify(value).replaceAll("\x7f", "\\u007f")}`);
  }
  return `${lines.join("\n")}\n`;
}

export function planPodman(host: Host, { config, plainConfig, exists }: Places): Plan {
  const command = "berth generate podman";
  const containers: TomlTable = [
    "containers",
    host.hasSlirp ? [] : [["netns", "host", "The host's network: slirp4netns is missing here, or may not open /dev/net/tun."]],
  ];
  const engine: TomlTable = [
    "engine",
    [
      ["runtime", "scrun", "Each container is a job; podman --runtime crun … is one without."],
      ["runtime_supports_json", RUNTIMES_WITH_JSON, "scrun writes its errors as JSON, which is how podman shows them."],
      [
        "runtime_supports_nocgroup",
        RUNTIMES_WITHOUT_CGROUPS,
        "scrun can do without a cgroup (--cgroups=disabled) where crun is behind it.",
      ],
      ...(host.hasServiceManager ? [] : ([["cgroup_manager", "cgroupfs", "There is no systemd to ask for cgroups."]] as const)),
      ...(host.hasJournal ? [] : ([["events_logger", "file", "There is no journal to write events to."]] as const)),
    ],
  ];
  const runtimes: TomlTable = ["engine.runtimes", [["scrun", [host.scrun], "Where it is."]]];
  const text = writeToml(command, [containers, engine, runtimes]);
  const dirs = plainConfig === undefined ? [config] : [config, plainConfig];
  const files: PlannedFile[] = dirs.map((dir) => ({ kind: "own", path: join(dir, "containers/containers.conf.d/50-berth.conf"), text }));
  const storage = join(config, "containers/storage.conf");
  const notes: string[] = sessionNotes(host);
  if (host.networkStore === undefined)
    notes.push(`${storage} is not needed: podman finds the storage driver for a local file system itself`);
  else if (host.hasStore) notes.push(`${storage} is left alone: there are images already, and another driver would not see them`);
  else if (exists(storage)) notes.push(`${storage} is left alone: it is yours; on ${host.networkStore} only driver = "vfs" works`);
  else {
    const own: TomlTable[] = [
      ["storage", [["driver", "vfs", `Plain directories: overlay does not work on ${host.networkStore}, and the nodes see them.`]]],
      ["storage.options.vfs", [["ignore_chown_errors", "true", "Files of other users cannot be made on a shared file system."]]],
    ];
    files.push({ kind: "own", path: storage, text: writeToml(command, own) });
  }
  return { files, notes: [...notes, "Try it: podman run --rm IMAGE printenv SLURM_JOB_ID"] };
}

function sessionNotes({ endsWithSession }: Host): string[] {
  return endsWithSession ? ["Containers end with your last session on this host, unless you say: loginctl enable-linger"] : [];
}

export function planDocker(host: Host, places: Places): Plan {
  const { config, isSystem } = places;
  const command = "berth generate docker";
  const usesHostNetwork = !host.hasSlirp || host.usesNetwork;
  const settings: JsonSetting[] = [
    { keys: ["runtimes", "scrun"], value: { path: host.scrun }, why: "where scrun is" },
    { keys: ["default-runtime"], value: "scrun", why: "each container is a job; docker run --runtime runc … is one without" },
  ];
  if (usesHostNetwork && !isSystem) {
    const why = "a rootless daemon in the host's network may not change it";
    settings.push(
      { keys: ["bridge"], value: "none", why, yields: true },
      { keys: ["iptables"], value: false, why, yields: true },
      { keys: ["ip-forward"], value: false, why, yields: true },
      { keys: ["ip-masq"], value: false, why, yields: true },
      { keys: ["userland-proxy"], value: false, why: "no container has ports to forward", yields: true },
    );
  }
  const files: PlannedFile[] = [{ kind: "json", path: join(config, "docker/daemon.json"), settings }];
  const notes: string[] = sessionNotes(host);
  const own = `# Written by "${command}"; "${command} --undo" takes it back.`;
  const service: string[] = [];
  if (usesHostNetwork && !isSystem) {
    service.push(...hostNetwork(host));
    notes.push(
      "Containers of a rootless daemon in the host's network: docker run --net=none (or host)",
      "docker 28: in the host's network its daemon fails at docker version, and so at docker compose and buildx (moby issue 51363)",
    );
  }
  // On a cluster the files of a step would be sent to a node, and stay there.
  if (!host.usesNetwork) {
    const dir = join(config, "docker/berth-build");
    files.push({ kind: "own", path: join(dir, "runc"), text: builderRuntime(own, host.scrun), isProgram: true });
    service.push("# The runc of there: each RUN step of docker build is a job.", `Environment="PATH=${servicePath(dir, places)}"`);
  }
  if (service.length > 0) {
    const path = join(config, `systemd/${isSystem ? "system" : "user"}/docker.service.d/50-berth.conf`);
    files.push({ kind: "own", path, text: [own, "[Service]", ...service, ""].join("\n") });
  }
  const restart = isSystem ? "systemctl restart docker" : "systemctl --user daemon-reload && systemctl --user restart docker";
  return {
    files,
    notes: [...notes, `The daemon reads it when it starts: ${restart}`, "Try it: docker run --rm IMAGE printenv SLURM_JOB_ID"],
  };
}

/** Lines of a rootless daemon's service. */
function hostNetwork({ hasSlirp }: Host): string[] {
  return [
    hasSlirp
      ? "# The host's network: in one of its own, the daemon's scrun does not reach the controller."
      : "# The host's network: slirp4netns is missing here, or may not open /dev/net/tun.",
    "# docker 28 refuses the name; rootlesskit takes the last of two.",
    'Environment="DOCKERD_ROOTLESS_ROOTLESSKIT_NET=slirp4netns"',
    'Environment="DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS=--net=host"',
    "# Then there are no ports to forward.",
    'Environment="DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER=none"',
  ];
}

/** BuildKit, which is dockerd itself, knows no runtimes of daemon.json: it calls the runc in PATH. containerd-shim does so for `--runtime runc`. */
function builderRuntime(own: string, scrun: string): string {
  return [
    "#!/bin/sh",
    own,
    "# docker build calls it from the daemon; everybody else gets the real one.",
    "PATH=${PATH#*berth-build:}",
    "export PATH",
    'case $(cat "/proc/$PPID/comm" 2>/dev/null) in',
    `  dockerd | buildkitd) exec ${quote(scrun)} "$@" ;;`,
    "esac",
    'exec runc "$@"',
    "",
  ].join("\n");
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** systemd.exec(5): percent signs and quotes mean something there. */
function servicePath(first: string, { isSystem, path = "" }: Places): string {
  const usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
  const named = isSystem ? [] : path.split(":").filter((dir) => dir.startsWith("/"));
  const dirs = [...new Set([first, ...named, ...usual])];
  return dirs.join(":").replaceAll("%", "%%").replaceAll(/["\\]/g, "\\$&");
}

/** A change that `undoSettings` can take back: what was there before, undefined for nothing. */
export interface Replaced {
  readonly keys: readonly string[];
  readonly value: Json;
  readonly before?: Json;
}

type JsonObject = { [key: string]: Json };

function parseObject(text: string, path: string): JsonObject {
  try {
    const value: unknown = text.trim() === "" ? {} : JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    // said below
  }
  throw new BerthError("SETUP_JSON", `Cannot change ${path}: it is not a JSON object`, {
    hint: "correct it; the engine cannot read it either",
  });
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const isSame = (a: unknown, b: unknown): boolean => Bun.deepEquals(a, b);

/** `text` with the settings in it; every other key, and the order and indentation, stay. @throws BerthError SETUP_JSON */
export function applySettings(text: string, settings: readonly JsonSetting[], path: string): { text: string; replaced: Replaced[] } {
  const root = parseObject(text, path);
  const replaced: Replaced[] = [];
  for (const { keys, value, yields } of settings) {
    const { parent, last } = descend(root, keys, path);
    const before = Object.hasOwn(parent, last) ? parent[last] : undefined;
    if (isSame(before, value) || (yields === true && before !== undefined)) continue;
    parent[last] = value;
    replaced.push(before === undefined ? { keys, value } : { keys, value, before });
  }
  return { text: replaced.length === 0 ? text : print(root, text), replaced };
}

/** Takes back what is still as we left it; what was changed since is the user's. */
export function undoSettings(text: string, replaced: readonly Replaced[], path: string): string {
  const root = parseObject(text, path);
  for (const { keys, value, before } of replaced.toReversed()) {
    const { parent, last } = descend(root, keys, path);
    if (!isSame(parent[last], value)) continue;
    if (before === undefined) delete parent[last];
    else parent[last] = before;
  }
  for (const [key, value] of Object.entries(root))
    if (isObject(value) && Object.keys(value).length === 0 && replaced.some(({ keys }) => keys.length > 1 && keys[0] === key))
      delete root[key];
  return print(root, text);
}

function descend(root: JsonObject, keys: readonly string[], path: string): { parent: JsonObject; last: string } {
  let parent = root;
  for (const key of keys.slice(0, -1)) {
    const inner = Object.hasOwn(parent, key) ? parent[key] : {};
    if (!isObject(inner))
      throw new BerthError("SETUP_JSON", `Cannot change ${path}: "${key}" is not an object`, {
        hint: "correct it; the engine cannot read it either",
      });
    parent[key] = inner;
    parent = inner;
  }
  return { parent, last: keys.at(-1) ?? "" };
}

function print(root: JsonObject, like: string): string {
  const indent = /^\s*\{\r?\n([ \t]+)"/.exec(like)?.[1] ?? 2;
  return `${JSON.stringify(root, null, indent)}\n`;
}
