/**
 * Writes planned files, and takes them back: a record holds what was there before. The record is written first, so that
 * a crash at any point leaves something that `undo` understands.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { BerthError } from "#job/errors.ts";
import { applySettings, undoSettings, type PlannedFile, type Replaced } from "./plan.ts";

interface Entry {
  readonly path: string;
  /** Base64, because undo gives back bytes; null when there was no file. */
  readonly before: string | null;
  readonly mode: number;
  readonly after: string;
  /** The user's changes were in the file when we changed it again: bytes from before would lose them. */
  readonly isEdited: boolean;
  /** Changed keys of a JSON file; null when the whole file is ours. */
  readonly replaced: readonly Replaced[] | null;
  /** Directories that were made for it, outermost first. */
  readonly madeDirs: readonly string[];
}

export interface Change {
  readonly path: string;
  readonly action: "written" | "unchanged" | "restored" | "removed" | "kept";
  readonly why?: string;
}

/** What a planned file will hold. */
export function contentsOf(file: PlannedFile): string {
  return file.kind === "own" ? file.text : applySettings(textOf(readBytes(file.path)), file.settings, file.path).text;
}

/** @throws BerthError SETUP_JSON, SETUP_EDITED, SETUP_RECORD */
export function applyFiles(files: readonly PlannedFile[], record: string, { force }: { readonly force: boolean }): Change[] {
  const old = readRecord(record);
  // All is worked out, and refused, before anything is written.
  const entries = files.map((file) => ({
    file,
    entry: entryFor(
      file,
      old.find(({ path }) => path === file.path),
      force,
    ),
  }));
  const stale = old.filter(({ path }) => files.every((file) => file.path !== path));
  const keep = [...entries.flatMap(({ entry }) => (entry === undefined ? [] : [entry])), ...stale];
  if (keep.length === 0) return entries.map(({ file }) => ({ path: file.path, action: "unchanged" }));
  writeAtomically(record, encode(JSON.stringify(keep, null, 2)), 0o600);
  const changes: Change[] = entries.map(({ file, entry }) => {
    if (entry === undefined || readBytes(file.path) === entry.after) return { path: file.path, action: "unchanged" };
    writeAtomically(file.path, entry.after, entry.mode);
    return { path: file.path, action: "written" };
  });
  const undone = stale.map((entry) => ({ entry, change: undoEntry(entry) }));
  writeRecord(
    record,
    keep.filter((entry) => !undone.some((done) => done.entry === entry && done.change.action !== "kept")),
  );
  return [...changes, ...undone.map(({ change }) => change)];
}

/** What was written before is as it was; a file that was changed since and cannot be told apart is kept, and stays recorded. */
export function undoFiles(record: string): Change[] {
  const done = readRecord(record).map((entry) => ({ entry, change: undoEntry(entry) }));
  writeRecord(
    record,
    done.filter(({ change }) => change.action === "kept").map(({ entry }) => entry),
  );
  return done.map(({ change }) => change);
}

/** The files that are in the record. */
export function recordedPaths(record: string): readonly string[] {
  return readRecord(record).map(({ path }) => path);
}

function entryFor(file: PlannedFile, old: Entry | undefined, force: boolean): Entry | undefined {
  const current = readBytes(file.path);
  const created = file.kind === "own" && file.isProgram === true ? 0o755 : 0o644;
  const mode = current === undefined ? created : statSync(file.path).mode & 0o7777;
  const isEdited = old !== undefined && current !== undefined && current !== old.after && current !== old.before;
  if (file.kind === "own" && isEdited && !force)
    throw new BerthError("SETUP_EDITED", `${file.path} was changed since it was written`, {
      hint: "put your settings into a file of your own beside it, or replace it with --force",
    });
  const { text, replaced } =
    file.kind === "own" ? { text: file.text, replaced: null } : applySettings(textOf(current), file.settings, file.path);
  const after = encode(text);
  if (old === undefined && after === current) return undefined;
  return {
    path: file.path,
    before: old === undefined ? (current ?? null) : old.before,
    mode: old?.mode ?? mode,
    after,
    isEdited: file.kind === "json" && (isEdited || old?.isEdited === true),
    replaced: replaced === null ? null : joinReplaced(old?.replaced ?? [], replaced),
    madeDirs: old?.madeDirs ?? missingDirs(file.path),
  };
}

/** The first of two changes of one key knows what the user had. */
function joinReplaced(first: readonly Replaced[], then: readonly Replaced[]): Replaced[] {
  const key = ({ keys }: Replaced) => JSON.stringify(keys);
  const joined = new Map(first.map((change) => [key(change), change]));
  for (const change of then) {
    const earlier = joined.get(key(change));
    const isOurs = earlier !== undefined && Bun.deepEquals(earlier.value, change.before);
    joined.set(key(change), isOurs ? { ...earlier, value: change.value } : change);
  }
  return [...joined.values()];
}

function undoEntry(entry: Entry): Change {
  const { path, before, mode, replaced } = entry;
  const current = readBytes(path);
  const isOurs = current === entry.after && !entry.isEdited;
  if (before === null) {
    if (current === undefined) return { path, action: "removed" };
    if (isOurs) {
      rmSync(realpathSync(path));
      for (const dir of entry.madeDirs.toReversed()) removeIfEmpty(dir);
      return { path, action: "removed" };
    }
  } else if (isOurs || current === before) {
    if (isOurs) writeAtomically(path, before, mode);
    return { path, action: "restored" };
  }
  if (replaced === null || current === undefined) return { path, action: "kept", why: "it was changed since" };
  writeAtomically(path, encode(undoSettings(textOf(current), replaced, path)), mode);
  return { path, action: "restored", why: "without what was set here; your later changes are kept" };
}

function readRecord(path: string): readonly Entry[] {
  const bytes = readBytes(path);
  if (bytes === undefined) return [];
  try {
    return JSON.parse(textOf(bytes)) as Entry[]; // our own, private file
  } catch (error) {
    throw new BerthError("SETUP_RECORD", `Cannot read ${path}, the record of what was there before`, {
      cause: error,
      hint: "restore or remove it",
    });
  }
}

function writeRecord(path: string, entries: readonly Entry[]): void {
  if (entries.length === 0) rmSync(path, { force: true });
  else writeAtomically(path, encode(JSON.stringify(entries, null, 2)), 0o600);
}

/** Base64: compared and given back byte for byte. */
function readBytes(path: string): string | undefined {
  try {
    return readFileSync(path, "base64");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new BerthError("SETUP_FILE", `Cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
}

const encode = (text: string): string => Buffer.from(text, "utf8").toString("base64");
const textOf = (base64 = ""): string => Buffer.from(base64, "base64").toString("utf8");

/** Behind a symbolic link it is the link's target that changes: dotfiles are often kept elsewhere. */
function writeAtomically(path: string, base64: string, mode: number): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    const target = existsSync(path) ? realpathSync(path) : path;
    const part = `${target}.part-${crypto.randomUUID()}`;
    try {
      writeFileSync(part, base64, { encoding: "base64", mode, flag: "wx", flush: true });
      chmodSync(part, mode);
      renameSync(part, target);
    } catch (error) {
      rmSync(part, { force: true });
      throw error;
    }
  } catch (error) {
    throw new BerthError("SETUP_FILE", `Cannot write ${path}: ${(error as Error).message}`, {
      cause: error,
      hint: "berth generate --user writes into your own home; /etc is root's",
    });
  }
}

function missingDirs(path: string): string[] {
  const missing: string[] = [];
  for (let dir = dirname(path); !existsSync(dir); dir = dirname(dir)) missing.unshift(dir);
  return missing;
}

function removeIfEmpty(dir: string): void {
  try {
    rmdirSync(dir);
  } catch {
    // somebody else uses it now
  }
}
