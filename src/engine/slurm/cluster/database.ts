/**
 * The private cluster's accounting, with `up --dbd`: a MariaDB that listens at a socket of its own and nowhere else, and slurmdbd
 * in front of it. Everything is below the cluster's directory and goes with it.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import { runChild } from "#platform/child.ts";
import { findSiteProgram } from "../programs.ts";
import type { ClusterPaths } from "./paths.ts";

export const DATABASE_PACKAGES = {
  slurmdbd: "slurmdbd",
  sacctmgr: "slurm-client",
  mariadbd: "mariadb-server-core",
  "mariadb-install-db": "mariadb-server-core",
  my_print_defaults: "mariadb-client-core", // mariadb-install-db calls it
} as const;

const INSTALL_MS = 60_000;
const ASK_MS = 20_000;
const DATABASE = "slurm_acct_db";
/** Of Debian's package and of MariaDB's own. */
const BASE_DIR = "/usr";

export interface DatabasePlace {
  readonly paths: ClusterPaths;
  readonly user: string;
  readonly port: number;
}

/** Its data directory, with a user of this name who needs no password at the socket. @throws BerthError CLUSTER_START */
export async function installDatabase({ paths, user }: DatabasePlace, signal: AbortSignal): Promise<void> {
  mkdirSync(paths.database, { recursive: true, mode: 0o700 });
  const install = [
    findSiteProgram("mariadb-install-db") ?? "mariadb-install-db",
    "--no-defaults",
    `--basedir=${BASE_DIR}`,
    `--datadir=${join(paths.database, "data")}`,
    "--auth-root-authentication-method=socket",
    `--auth-root-socket-user=${user}`,
    "--skip-test-db",
    `--user=${user}`,
  ] as const;
  const { status, stdout, stderr } = await runChild([...install] as [string, ...string[]], {
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: paths.root },
    cwd: "/",
    signal,
    timeoutMs: INSTALL_MS,
  });
  if (shellCode(status) !== 0)
    throw new BerthError("CLUSTER_START", `Cannot make the cluster's database: ${lastLine(`${stdout}\n${stderr}`)}`);
  writeFileSync(
    join(paths.database, "init.sql"),
    [
      `CREATE DATABASE IF NOT EXISTS ${DATABASE};`,
      `CREATE USER IF NOT EXISTS '${user}'@'localhost' IDENTIFIED VIA unix_socket;`,
      `GRANT ALL ON *.* TO '${user}'@'localhost';`,
      "",
    ].join("\n"),
    { mode: 0o600 },
  );
}

/** Small: it serves a few hundred jobs. */
export function databaseWords({ paths, user }: DatabasePlace): string[] {
  return [
    "--no-defaults",
    `--basedir=${BASE_DIR}`,
    `--datadir=${join(paths.database, "data")}`,
    `--socket=${paths.databaseSocket}`,
    `--pid-file=${join(paths.database, "mariadbd.pid")}`,
    `--init-file=${join(paths.database, "init.sql")}`,
    `--user=${user}`,
    "--skip-networking",
    "--innodb-buffer-pool-size=24M",
    "--innodb-log-file-size=8M",
    "--innodb-lock-wait-timeout=900",
    "--innodb-flush-log-at-trx-commit=0",
    "--max-connections=16",
    "--performance-schema=OFF",
  ];
}

export function isDatabaseThere({ databaseSocket }: ClusterPaths): boolean {
  return existsSync(databaseSocket);
}

export function slurmdbdConf({ paths, user, port }: DatabasePlace): string {
  return [
    "# Made by `berth cluster up --dbd`; removed by `berth cluster down`.",
    "AuthType=auth/munge",
    `AuthInfo=socket=${paths.mungeSocket}`,
    "DbdHost=localhost",
    "DbdAddr=127.0.0.1",
    `DbdPort=${port}`,
    `SlurmUser=${user}`,
    `LogFile=${paths.logs}/slurmdbd.log`,
    `PidFile=${paths.state}/slurmdbd.pid`,
    "StorageType=accounting_storage/mysql",
    "StorageHost=localhost",
    `StorageUser=${user}`,
    `StorageLoc=${DATABASE}`,
    "CommitDelay=1",
    "",
  ].join("\n");
}

/** The MySQL client library's own variable: slurmdbd.conf cannot name a socket. */
export function slurmdbdEnvironment({ databaseSocket }: ClusterPaths): Record<string, string> {
  return { MYSQL_UNIX_PORT: databaseSocket };
}

/** slurmdbd answers, and knows the cluster. False as long as it does not. */
export async function registerCluster(paths: ClusterPaths, cluster: string, signal: AbortSignal): Promise<boolean> {
  const { status, stdout, stderr } = await runChild([findSiteProgram("sacctmgr") ?? "sacctmgr", "-i", "add", "cluster", cluster], {
    env: { PATH: "/usr/bin:/bin", SLURM_CONF: paths.conf },
    cwd: "/",
    signal,
    timeoutMs: ASK_MS,
  });
  return shellCode(status) === 0 || /already exists/i.test(stdout + stderr);
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}
