/** A script as a file for the site's sbatch, in a directory of our own; sbatch makes the file's base name the job's name. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { directories } from "#platform/directories.ts";
import { ensurePrivateDir } from "#platform/private-directory.ts";
import { wrapBatchScript } from "../task/batch-script.ts";
import { readDirectives } from "./directives.ts";
import { batchTaskLine, type ContainerRequest } from "./container-request.ts";

export class ScriptFile implements Disposable {
  readonly path: string;
  readonly #dir: string;

  constructor(name: string, text: string) {
    this.#dir = mkdtempSync(join(ensurePrivateDir(directories().runtime), "sbatch-"));
    this.path = join(this.#dir, name.replaceAll("/", "_"));
    writeFileSync(this.path, text, { mode: 0o700 });
  }

  [Symbol.dispose](): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** The script of a request. What its own #SBATCH lines say about containers is in the request, and the site must not see it. */
export function batchScriptFor(script: string, name: string, container: ContainerRequest | undefined): ScriptFile {
  if (container === undefined) return new ScriptFile(name, script);
  return new ScriptFile(
    name,
    wrapBatchScript(script, (firstLine) => batchTaskLine(container, firstLine), readDirectives(script, () => false).lines).text,
  );
}
