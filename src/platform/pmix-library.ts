/** Where this host has PMIx's library, by its name of interface version 2 (PMIx 3 and 4), as Debian's libpmix2 installs it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { libraryDirs } from "./library-dirs.ts";

const NAME = "libpmix.so.2";

/** Undefined when it is not installed. */
export function findPmixLibrary(): string | undefined {
  return libraryDirs()
    .flatMap((dir) => [join(dir, NAME), join(dir, "pmix2/lib", NAME)])
    .find((path) => existsSync(path));
}
