/** What is installed: runtimes, image tools, other container engines, Slurm. */
import { existsSync, lstatSync } from "node:fs";
import type { Diagnosis, Host } from "./host.ts";

const PROGRAMS: readonly (readonly [name: string, why: string, cure: string])[] = [
  ["crun", "runs containers; Berth's first choice", "sudo apt-get install crun"],
  ["runc", "runs containers; works on more hosts than crun", "sudo apt-get install runc"],
  ["skopeo", "fetches images of registries", "sudo apt-get install skopeo"],
  ["umoci", "makes bundles of images", "sudo apt-get install umoci"],
];
const OTHER_RUNTIMES = ["nvidia-container-runtime", "apptainer", "singularity", "ch-run", "enroot"];

export async function programs(host: Host): Promise<Diagnosis[]> {
  const version = async (name: string) => {
    const path = host.find(name);
    return path === undefined ? undefined : `${path}, ${(await host.ask(path, "--version")) ?? "which does not tell its version"}`;
  };
  const found: Diagnosis[] = [];
  const hasRuntime = host.find("crun") !== undefined || host.find("runc") !== undefined;
  for (const [name, why, cure] of PROGRAMS) {
    const text = await version(name);
    const isRuntime = name === "crun" || name === "runc";
    found.push({
      name,
      why,
      found: text ?? "not installed",
      state: text !== undefined ? "ok" : isRuntime && hasRuntime ? "info" : "warning",
      cure: text === undefined ? cure : null,
    });
  }
  for (const name of OTHER_RUNTIMES) {
    const text = await version(name);
    if (text !== undefined)
      found.push({
        name,
        state: "info",
        found: text,
        why: "another runtime, for an oci.conf of its own",
        cure: `berth oci init --runtime ${name === "ch-run" ? "charliecloud" : name}`,
      });
  }
  return found;
}

export async function slurm(host: Host): Promise<Diagnosis[]> {
  const path =
    host.find("slurmd") ??
    host.find("slurmctld") ??
    ["/usr/bin/sbatch", "/opt/slurm/bin/sbatch"].find((file) => existsSync(file) && !lstatSync(file).isSymbolicLink());
  if (path === undefined)
    return [
      { name: "Slurm", state: "info", found: "not installed", why: "Berth can drive a cluster; without one it is its own", cure: null },
    ];
  const version = (await host.ask(path, path.endsWith("sbatch") ? "--version" : "-V")) ?? "which does not tell its version";
  const munge = ["/run/munge/munge.socket.2", "/var/run/munge/munge.socket.2"].find((file) => existsSync(file));
  return [
    { name: "Slurm", state: "info", found: `${path}, ${version}`, why: "Berth can drive it", cure: null },
    {
      name: "munge",
      state: munge === undefined ? "info" : "ok",
      found: munge ?? "its socket is not there",
      why: "Slurm's commands prove who you are with it",
      cure: munge === undefined ? "sudo systemctl start munge" : null,
    },
  ];
}
