/** `berth lua-host LIBRARY FILE ARGUMENT…`: started by scrun's anchors only. */
import { runLua } from "#platform/run-lua.ts";

export async function luaHost([library = "", ...words]: readonly string[]): Promise<number> {
  return runLua(library, words);
}
