/** Whether this container is staged, decided by `create`: its environment knows where the user's files are, an anchor's may not. */
import { DEFAULT_PATH } from "#container/environment.ts";
import { BerthError } from "#job/errors.ts";
import { findLuaLibrary } from "#platform/lua-library.ts";
import { selfOnDisk } from "#platform/self.ts";
import { findInterpreter, findScrunLua } from "./lua/find-lua.ts";
import type { StagingPlan } from "./staging.ts";

/** Long enough for a large image on a slow file system; a hook that hangs does not keep an allocation for ever. */
const DEFAULT_SECONDS = 3600;
/** Half of what podman allows a create. */
const DEFAULT_CREATE_SECONDS = 120;
const MAX_SECONDS = 2_000_000;

type Variables = Readonly<Record<string, string | undefined>>;

/** Null: in place. @param told with the container's own SCRUN_* @throws BerthError SCRUN_LUA, OPTION */
export function planStaging(
  own: Variables,
  told: Variables,
  { defaultPath, findLibrary } = { defaultPath: DEFAULT_PATH, findLibrary: findLuaLibrary },
): StagingPlan | null {
  const script = findScrunLua(own);
  if (script === undefined) return null;
  const timeoutSeconds = secondsOf("SCRUN_STAGING_TIMEOUT", told) ?? DEFAULT_SECONDS;
  const createWaitSeconds = secondsOf("SCRUN_CREATE_WAIT", told) ?? DEFAULT_CREATE_SECONDS;
  // Not from the container's variables: an image must not choose a program of this host.
  const program = findInterpreter(`${own["PATH"] ?? ""}:${defaultPath}`);
  const interpreter = program ?? findLibrary();
  if (interpreter === undefined) {
    throw new BerthError("SCRUN_LUA", `Cannot run ${script}: Lua is not installed`, {
      hint: "install lua5.4 (5.3 will do), or remove scrun.lua if containers need no staging",
    });
  }
  return { script, interpreter: selfOnDisk("lua-host", interpreter), timeoutSeconds, createWaitSeconds };
}

function secondsOf(name: string, told: Variables): number | undefined {
  const text = told[name] ?? "";
  if (text === "") return undefined;
  const seconds = Number(text);
  if (/^\d+$/.test(text) && seconds >= 1 && seconds <= MAX_SECONDS) return seconds;
  throw new BerthError("OPTION", `Invalid ${name} "${text}"`, { hint: `seconds, 1 to ${MAX_SECONDS}` });
}
