/** Programs along a search path. A relative directory never counts: what is in it depends on where somebody stands. */
import { accessSync, constants, statSync } from "node:fs";
import { join } from "node:path";

/** Executable files of that name, in the order of the path. */
export function* programsNamed(name: string, path: string): Generator<string> {
  for (const dir of path.split(":")) {
    if (!dir.startsWith("/")) continue;
    const program = join(dir, name);
    if (isProgram(program)) yield program;
  }
}

/** The one that would run. */
export function findProgram(name: string, path: string): string | undefined {
  return programsNamed(name, path).next().value ?? undefined;
}

export function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false; // not there, or not for us
  }
}
