/** Names of users and groups, through the system's own databases (getent(1) knows LDAP and the like). */
import { ACCESS, canAccess, readTextFile } from "./system.ts";

const cache = new Map<string, string>();

function lookUp(database: "passwd" | "group", id: number): string {
  const key = `${database}:${id}`;
  const known = cache.get(key);
  if (known !== undefined) return known;
  const name = nameOf(readTextFile(`/etc/${database}`), id) ?? nameOf(getent(database, id), id) ?? String(id);
  cache.set(key, name);
  return name;
}

function nameOf(text: string, id: number): string | undefined {
  return lineOf(text, id)?.split(":", 1)[0];
}

function lineOf(text: string, id: number): string | undefined {
  return text.split("\n").find((line) => line.split(":")[2] === String(id));
}

function getent(database: string, id: number): string {
  try {
    return Bun.spawnSync(["getent", database, String(id)], { stderr: "ignore" }).stdout.toString();
  } catch {
    return ""; // no getent here
  }
}

export function userName(uid: number): string {
  return lookUp("passwd", uid);
}

export function groupName(gid: number): string {
  return lookUp("group", gid);
}

/**
 * Who we are outside: in a user namespace of podman or rootlesskit everybody is root, and the user's real id is what the
 * namespace maps 0 to (user_namespaces(7)).
 */
export function realUserId(): number {
  const uid = process.getuid?.() ?? 0;
  if (uid !== 0) return uid;
  try {
    const [inside, outside] = readTextFile("/proc/self/uid_map").trim().split(/\s+/).map(Number);
    return inside === 0 && outside !== undefined ? outside : uid;
  } catch {
    return uid; // no /proc
  }
}

export interface Account {
  readonly name: string;
  readonly home: string;
  readonly shell: string;
}

/** The caller's own account by its uid, whatever the environment and the user namespace say. */
export function ownAccount(): Account {
  const uid = realUserId();
  const line = lineOf(readTextFile("/etc/passwd"), uid) ?? lineOf(getent("passwd", uid), uid) ?? "";
  const [name, , , , , home, shell] = line.split(":");
  return { name: name || String(uid), home: home || "/", shell: shell || "/bin/sh" };
}

/** The uid of a name, or of a number; undefined when there is no such user. */
export function findUserId(name: string): number | undefined {
  for (const line of readTextFile("/etc/passwd").split("\n")) {
    const fields = line.split(":");
    if (fields[0] === name) return Number(fields[2]);
  }
  if (/^\d{1,10}$/.test(name)) return Number(name);
  try {
    const field = Bun.spawnSync(["getent", "passwd", name], { stderr: "ignore" }).stdout.toString().split(":")[2];
    return field === undefined ? undefined : Number(field);
  } catch {
    return undefined;
  }
}

/**
 * In front of a program that must see the user's own ids: inside a user namespace of podman's or rootlesskit's it would take itself for root,
 * and say so to servers outside, which know better. A namespace of one id more gives it back its own (user_namespaces(7), unshare(1)).
 */
export function asRealUser(): string[] {
  const uid = realUserId();
  if (uid === process.getuid?.()) return [];
  const gid = Number(/^\s*0\s+(\d+)/.exec(readTextFile("/proc/self/gid_map"))?.[1] ?? uid);
  return [UNSHARE, "--user", `--map-user=${uid}`, `--map-group=${gid}`, "--"];
}

const UNSHARE = "/usr/bin/unshare";
const CAP_SETFCAP = 1n << 31n;

/**
 * Whether a program run `asRealUser` would start. Since Linux 5.12 giving a namespace's root another number takes CAP_SETFCAP there
 * (user_namespaces(7)), which podman and docker leave to a container's root and a bare bundle mostly does not; older kernels have to be tried.
 */
export function canBecomeRealUser(): "yes" | "no unshare" | "not permitted" {
  const words = asRealUser();
  if (words.length === 0) return "yes";
  if (!canAccess(UNSHARE, ACCESS.exists)) return "no unshare";
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(readTextFile("/proc/self/status"))?.[1] ?? "0";
  if ((BigInt(`0x${effective}`) & CAP_SETFCAP) !== 0n) return "yes";
  const tried = Bun.spawnSync([...words, "/bin/sh", "-c", ":"], { stdin: "ignore", stdout: "ignore", stderr: "ignore", timeout: 10_000 });
  return tried.success ? "yes" : "not permitted";
}
