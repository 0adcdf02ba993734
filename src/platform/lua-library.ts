/** Where this host has Lua as a library: Slurm links with it, and needs no program `lua`. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { libraryDirs } from "./library-dirs.ts";

/** Debian's, Fedora's and Arch's names. */
const NAMES = ["liblua5.4.so.0", "liblua-5.4.so", "liblua.so.5.4", "liblua5.3.so.0", "liblua-5.3.so", "liblua.so.5.3"];

/** Undefined when none is installed. */
export function findLuaLibrary(): string | undefined {
  const dirs = libraryDirs();
  return NAMES.flatMap((name) => dirs.map((dir) => join(dir, name))).find((path) => existsSync(path));
}
