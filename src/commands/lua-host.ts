/**
 * `berth lua-host INTERPRETER FILE ARGUMENT…`: started by scrun's anchors only. The interpreter is a program, which this process becomes, or a
 * library. Either way it is a subreaper (prctl(2), kept across execve): whatever a script has started stays below it, in which session it may be.
 */
import { replaceProcess } from "#platform/exec.ts";
import { becomeSubreaper } from "#platform/libc.ts";
import { runLua } from "#platform/run-lua.ts";

export async function luaHost([interpreter = "", ...words]: readonly string[]): Promise<number> {
  becomeSubreaper();
  if (/\.so(\.|$)/.test(interpreter)) return runLua(interpreter, words);
  const env = Object.fromEntries(Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
  replaceProcess(interpreter, [interpreter, ...words], env);
}
