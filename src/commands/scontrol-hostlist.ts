/** `scontrol show hostnames`, `hostlist` and `hostlistsorted`: no cluster is asked [T scontrol-04-hostnames]. */
import { readFileSync } from "node:fs";
import { BerthError } from "#job/errors.ts";
import { compressHostlist, expandHostlist } from "#options/hostlist.ts";
import { errnoWords } from "./errno.ts";
import type { ScontrolSession } from "./scontrol-session.ts";
import { printLines } from "./terminal.ts";

/** Letters from which each is understood; "hostlist" is whole before "hostlistsorted" begins. */
const ENTITIES = [
  ["hostlist", 5],
  ["hostlistsorted", 9],
  ["hostnames", 5],
] as const;

/** Undefined when the words ask for something else. */
export function showHostlist(words: readonly string[], session: ScontrolSession): number | undefined {
  const [tag = "", rest] = splitPair(words[0] ?? "");
  const lower = tag.toLowerCase();
  const entity = ENTITIES.find(([name, least]) => lower.length >= least && name.startsWith(lower))?.[0];
  if (entity === undefined) return undefined;
  const text = words[1] ?? rest;
  try {
    return entity === "hostnames" ? showNames(text, session) : showList(text, entity === "hostlistsorted", session);
  } catch (error) {
    if (!(error instanceof BerthError)) throw error;
    return session.fail(`Invalid hostlist: ${text ?? process.env["SLURM_JOB_NODELIST"] ?? ""}`);
  }
}

function showNames(text: string | undefined, session: ScontrolSession): number {
  const list = text ?? process.env["SLURM_JOB_NODELIST"] ?? "";
  const names = expandHostlist(list);
  if (names.length === 0) {
    session.fail("scontrol: error: host list is empty");
    return 0; // as Slurm does
  }
  printLines(names);
  return 0;
}

/** The list, a file of names (a path with a slash), or `-` for standard input. */
function showList(text: string | undefined, isSorted: boolean, session: ScontrolSession): number {
  if (text === undefined) return session.fail("invalid encode argument");
  let list = text;
  if (text === "-" || text.includes("/")) {
    try {
      list = readFileSync(text === "-" ? 0 : text, "utf8");
    } catch (error) {
      return session.fail(`Can't open ${text}: ${errnoWords(error)}`);
    }
  }
  const names = expandHostlist(list.trim());
  printLines([compressHostlist(isSorted ? names.toSorted(byNumber) : names)]);
  return 0;
}

/** `n2` before `n10`: by prefix, then by the number at the end. */
function byNumber(a: string, b: string): number {
  const [prefixA = "", digitsA = ""] = splitDigits(a);
  const [prefixB = "", digitsB = ""] = splitDigits(b);
  if (prefixA !== prefixB) return prefixA < prefixB ? -1 : 1;
  return digitsA.length - digitsB.length || Number(digitsA) - Number(digitsB);
}

function splitDigits(name: string): string[] {
  return /^(.*?)(\d*)$/s.exec(name)?.slice(1) ?? [name];
}

/** `tag=value` → both; a word without `=` is a tag alone. */
export function splitPair(word: string): [tag: string, value: string | undefined] {
  const at = word.indexOf("=");
  return at < 0 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}
