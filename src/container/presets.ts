/**
 * The oci.conf of each runtime that Slurm's containers guide names (spec: oci-conf §15), and the two scripts that some
 * of them need. Command lines are the guide's own, so that a site recognises them; what differs is said in the file.
 */
import { BerthError } from "#job/errors.ts";
import { quoteCommand } from "./pattern.ts";

export const PRESETS = [
  "runc",
  "crun",
  "nvidia-container-runtime",
  "singularity",
  "singularity-oci",
  "apptainer",
  "charliecloud",
  "enroot",
  "wrapper",
] as const;
export type PresetName = (typeof PRESETS)[number];
export type Flow = "run" | "create-start";

export interface PresetHost {
  /** The runtimes' `--root`, a pattern. The guide's is /run/user/%U/, which exists only for users who are logged in or linger. */
  readonly runtimeRoot: string;
  /** Where scripts go: the directory of oci.conf. */
  readonly scriptDir: string;
  /** Charliecloud binds what of this there is; cgroup v2 is known by its files. */
  exists(path: string): boolean;
}

export interface Preset {
  readonly conf: string;
  readonly scripts: readonly { readonly path: string; readonly text: string }[];
}

export const GUIDE_RUNTIME_ROOT = "/run/user/%U/";

/** @throws BerthError OCI_PRESET for a flow that the runtime does not have */
export function makePreset(name: PresetName, flow: Flow, host: PresetHost): Preset {
  switch (name) {
    case "runc":
    case "crun":
    case "nvidia-container-runtime":
      return { conf: lowLevel(name, flow, host), scripts: [] };
    case "singularity":
    case "apptainer":
      if (flow === "run") return { conf: native(name), scripts: [] };
      if (name === "singularity") return { conf: singularityOci(flow), scripts: [] };
      throw noFlow(name);
    case "singularity-oci":
      return { conf: singularityOci(flow), scripts: [] };
    case "charliecloud":
      return onlyRun(name, flow, { conf: charliecloud(host), scripts: [] });
    case "enroot":
      return onlyRun(name, flow, enroot(host));
    case "wrapper":
      return onlyRun(name, flow, wrapper(host));
  }
}

function onlyRun(name: PresetName, flow: Flow, preset: Preset): Preset {
  if (flow === "run") return preset;
  throw noFlow(name);
}

function noFlow(name: PresetName): BerthError {
  return new BerthError("OCI_PRESET", `${name} has no create and start commands`, { hint: "leave --flow out, or say --flow run" });
}

const ID = "%n.%u.%j.%s.%t";
const EXCLUDES = `# The path of a host's own configuration means nothing inside, nor to the runtime.
EnvExclude="^(SLURM_CONF|SLURM_CONF_SERVER)="
RunTimeEnvExclude="^(SLURM_CONF|SLURM_CONF_SERVER)="
`;

function header(title: string, ...notes: readonly string[]): string {
  return [`${title}, made by "berth oci init".`, "One Key=value on each line; oci.conf(5) and docs/oci.md have the keys.", ...notes]
    .map((line) => `# ${line}\n`)
    .join("");
}

function lowLevel(runtime: "runc" | "crun" | "nvidia-container-runtime", flow: Flow, { runtimeRoot, exists }: PresetHost): string {
  // All of a container's processes are found by its cgroup, and rootless it has none with cgroup v1 or a hybrid host.
  const kill = exists("/sys/fs/cgroup/cgroup.controllers") ? "kill -a" : "kill";
  const call = `${runtime} --rootless=true --root=${runtimeRoot}`;
  // crun reads no options after the id.
  const bundle = runtime === "crun" ? `--bundle %b ${ID}` : `${ID} -b %b`;
  const notes =
    runtimeRoot === GUIDE_RUNTIME_ROOT
      ? ["/run/user/UID exists for users who are logged in, or linger: loginctl enable-linger USER."]
      : [`The guide keeps containers under ${GUIDE_RUNTIME_ROOT}, which this host does not give you.`];
  if (kill === "kill") notes.push("The guide has kill -a, which wants a host with cgroup v2 only; Berth ends what is left itself.");
  const start =
    flow === "run"
      ? `RunTimeRun="${call} run ${bundle}"\n`
      : `RunTimeCreate="${call} create ${bundle}"\nRunTimeStart="${call} start ${ID}"\n`;
  return `${header(`${runtime}, ${flow === "run" ? "one command per task (run)" : "create and start"}`, ...notes)}${EXCLUDES}
RunTimeQuery="${call} state ${ID}"
${start}RunTimeKill="${call} ${kill} ${ID}"
RunTimeDelete="${call} delete --force ${ID}"
`;
}

function native(program: "singularity" | "apptainer"): string {
  return `${header(`${program} in a user namespace`, "--container names an image or a root file system, not a bundle.")}${EXCLUDES}
IgnoreFileConfigJson=true
RunTimeRun="${program} exec --userns %r %@"
RunTimeKill="kill -s SIGTERM %p"
RunTimeDelete="kill -s SIGKILL %p"
`;
}

function singularityOci(flow: Flow): string {
  const call = "sudo singularity oci";
  const start =
    flow === "run"
      ? `RunTimeRun="${call} run --bundle %b ${ID}"\n`
      : `RunTimeCreate="${call} create --bundle %b ${ID}"\nRunTimeStart="${call} start ${ID}"\n`;
  return `${header(`Singularity's OCI mode, ${flow === "run" ? "run" : "create and start"}`, "For testing only: it needs sudo without a password.")}${EXCLUDES}
RunTimeQuery="${call} state ${ID}"
${start}RunTimeKill="${call} kill ${ID}"
RunTimeDelete="${call} delete ${ID}"
`;
}

/** ch-run refuses to bind what is not there. */
function charliecloud({ exists }: PresetHost): string {
  const binds = [
    ["/etc/group", "/etc/group"],
    ["/etc/passwd", "/etc/passwd"],
    ["/etc/slurm", "/etc/slurm"],
    ["%m", "/var/run/slurm/"],
    ["/var/run/munge/", "/var/run/munge/"],
  ]
    .filter(([source = ""]) => source === "%m" || exists(source))
    .map(([source, target]) => `--bind ${source}:${target} `)
    .join("");
  const clean = "env -i PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin/:/sbin/ USER=$(whoami) HOME=/home/$(whoami)/";
  return `${header("Charliecloud", "--container names a root file system, not a bundle. It needs the mount point /var/run/slurm inside.")}${EXCLUDES}
IgnoreFileConfigJson=true
CreateEnvFile=newline
RunTimeRun="${clean} ch-run -w ${binds}--set-env=%e --no-passwd %r -- %@"
RunTimeKill="kill -s SIGTERM %p"
RunTimeDelete="kill -s SIGKILL %p"
`;
}

function enroot({ scriptDir }: PresetHost): Preset {
  const path = `${scriptDir}/enroot-start-wrapper`;
  return {
    conf: `${header("Enroot, through a wrapper", "--container names an image for enroot import (docker://…), or a file made by it.")}${EXCLUDES}
IgnoreFileConfigJson=true
CreateEnvFile=newline
RunTimeRun="${confCommand(path)} %b %m %e -- %@"
RunTimeKill="kill -s SIGINT %p"
RunTimeDelete="kill -s SIGTERM %p"
`,
    scripts: [{ path, text: ENROOT_SCRIPT }],
  };
}

function wrapper({ scriptDir }: PresetHost): Preset {
  const path = `${scriptDir}/oci-run`;
  return {
    conf: `${header("A wrapper that lets each user choose a runtime", "Arguments: bundle, spool directory, user, uid, node, job, step, task, command.")}
IgnoreFileConfigJson=true
RunTimeRun="${confCommand(path)} %b %m %u %U %n %j %s %t %@"
RunTimeKill="kill -s SIGTERM %p"
RunTimeDelete="kill -s SIGKILL %p"
`,
    scripts: [
      { path, text: WRAPPER_SCRIPT },
      { path: `${scriptDir}/oci-run-default`, text: WRAPPER_DEFAULT_SCRIPT },
    ],
  };
}

/** A path as the first word of a command in a quoted value: safe from sh(1), from patterns and from the file's own escapes. */
function confCommand(path: string): string {
  if (/["\n\0]/.test(path))
    throw new BerthError("OCI_PRESET", `oci.conf cannot name ${JSON.stringify(path)}: it has no way to write a double quote`, {
      hint: "write it to another directory, with BERTH_CONF",
    });
  if (path.includes("'"))
    throw new BerthError("OCI_PRESET", `oci.conf cannot name ${JSON.stringify(path)} safely`, {
      hint: "write it to another directory, with BERTH_CONF",
    });
  const word = /^[\w+./@-]+$/.test(path) ? path : quoteCommand([path]);
  return word.replaceAll("%", "%%").replace(/[\\#]/g, "\\$&");
}

const ENROOT_SCRIPT = `#!/bin/sh
# Runs one task with Enroot: enroot-start-wrapper IMAGE SPOOL ENVFILE -- COMMAND [ARGUMENT...]
# IMAGE is a file (squashfs, made by enroot import) or something to import: docker://debian. Made by "berth oci init".
set -u
[ $# -ge 5 ] && [ "$4" = -- ] || { echo "usage: $0 IMAGE SPOOL ENVFILE -- COMMAND [ARGUMENT...]" >&2; exit 2; }
image=$1 spool=$2 environment=$3
shift 4

USER=$(whoami)
HOME=$image/
ENROOT_SQUASH_OPTIONS='-comp gzip -noD'
ENROOT_ALLOW_SUPERUSER=n
ENROOT_MOUNT_HOME=y
ENROOT_REMAP_ROOT=y
ENROOT_ROOTFS_WRITABLE=y
ENROOT_LOGIN_SHELL=n
ENROOT_TRANSFER_RETRIES=2
ENROOT_CACHE_PATH=$spool/
ENROOT_DATA_PATH=$spool/
ENROOT_TEMP_PATH=$spool/
ENROOT_ENVIRON=$environment
export USER HOME ENROOT_SQUASH_OPTIONS ENROOT_ALLOW_SUPERUSER ENROOT_MOUNT_HOME ENROOT_REMAP_ROOT ENROOT_ROOTFS_WRITABLE \\
  ENROOT_LOGIN_SHELL ENROOT_TRANSFER_RETRIES ENROOT_CACHE_PATH ENROOT_DATA_PATH ENROOT_TEMP_PATH ENROOT_ENVIRON
[ -z "\${TERM+set}" ] || export TERM

container=$image imported=
if [ ! -f "$image" ]; then
  imported=$spool/container.sqsh
  enroot import --output "$imported" "$image" && enroot create --name container "$imported" || {
    status=$?
    rm -f "$imported"
    exit $status
  }
  container=container
fi
enroot start -- "$container" "$@"
status=$?
[ -z "$imported" ] || rm -f "$imported"
exit $status
`;

const WRAPPER_SCRIPT = `#!/bin/sh
# Runs one task with the runtime of its user's choice: ~/.slurm-oci-run where there is one, else oci-run-default beside
# this file. Arguments: bundle, spool directory, user, uid, node, job, step, task, command. Made by "berth oci init".
own=$(getent passwd "$3" | cut -d: -f6)
own=\${own:-\${HOME:-/nonexistent}}/.slurm-oci-run
if [ -x "$own" ]; then exec "$own" "$@"; fi
exec "$(dirname "$0")/oci-run-default" "$@"
`;

const WRAPPER_DEFAULT_SCRIPT = `#!/bin/sh -l
# What oci-run does for users without a choice of their own. /var/spool is bound so that spool directories are seen inside.
bundle=$1
shift 8
exec apptainer run --bind /var/spool --containall "$bundle" "$@"
`;
