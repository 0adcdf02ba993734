/** Podman and docker: whether their configuration names scrun, and whether what it names can be run. */
import { constants, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { canAccess } from "#platform/system.ts";
import { read, type Diagnosis, type Host } from "./host.ts";

type TargetOf = (path: string) => string | undefined;

/** @param targetOf the executable behind a launcher; undefined when the file is none */
export function otherEngines(host: Host, targetOf: TargetOf): Diagnosis[] {
  const own = process.env["XDG_CONFIG_HOME"]?.startsWith("/") === true ? process.env["XDG_CONFIG_HOME"] : join(homedir(), ".config");
  const containers = [join(own, "containers"), "/etc/containers"];
  return [
    ...look(host, "podman", containers.flatMap(podmanFiles), targetOf),
    ...look(host, "docker", [join(own, "docker/daemon.json"), "/etc/docker/daemon.json"], targetOf),
  ];
}

/** containers.conf(5): the file, then those of the directory beside it; the user's files count before the system's. */
function podmanFiles(dir: string): string[] {
  const dropIns = join(dir, "containers.conf.d");
  try {
    return [...readdirSync(dropIns).map((name) => join(dropIns, name)), join(dir, "containers.conf")].filter((file) =>
      file.endsWith(".conf"),
    );
  } catch {
    return [join(dir, "containers.conf")]; // no such directory
  }
}

function look(host: Host, name: "podman" | "docker", files: readonly string[], targetOf: TargetOf): Diagnosis[] {
  const program = host.find(name);
  if (program === undefined) return [];
  const facts = { name, why: `${name} run can be a job, through scrun` };
  const named = files
    .map((file) => ({ file, scrun: /"(\/[^"\n]*\/scrun)"/.exec(read(file) ?? "")?.[1] }))
    .find(({ scrun }) => scrun !== undefined);
  if (named?.scrun === undefined) {
    return [{ ...facts, state: "info", found: `${program}, not set up for scrun`, cure: `berth generate ${name}` }];
  }
  const { file, scrun } = named;
  const target = targetOf(scrun) ?? scrun;
  const broken = !canAccess(scrun, constants.X_OK) ? scrun : !canAccess(target, constants.X_OK) ? target : undefined;
  if (broken === undefined) return [{ ...facts, state: "ok", found: `${program}, ${scrun} in ${file}`, cure: null }];
  return [
    {
      ...facts,
      state: "warning",
      found: `${program}; ${file} names ${scrun}${broken === scrun ? ", which" : `, whose ${broken}`} is not a program that you may run`,
      cure: `berth link --all DIR, with a DIR that stays; then: berth generate ${name} --scrun DIR/scrun`,
    },
  ];
}
