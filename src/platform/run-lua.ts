/**
 * The Lua interpreter as a library, for hosts that have Slurm's libraries and not the program `lua`: this process becomes one. The calls are
 * those that the program makes (lua.h, lauxlib.h of 5.3 and 5.4); no callback, so a Lua error never jumps over a frame of ours.
 */
import { dlopen, ptr, type Pointer } from "bun:ffi";
import { restoreFileLimit } from "./exec.ts";

const SIGPIPE = 13;
const RTLD_NOW = 2;
const RTLD_GLOBAL = 0x100;

/** Runs a file with arguments, as the program does; gives the exit status. */
export function runLua(library: string, [file = "", ...args]: readonly string[]): number {
  const libc = dlopen("libc.so.6", {
    dlopen: { args: ["ptr", "i32"], returns: "ptr" },
    signal: { args: ["i32", "ptr"], returns: "ptr" },
  }).symbols;
  libc.signal(SIGPIPE, null); // for what the script starts
  restoreFileLimit();
  // Modules in C that a script requires find lua_… in there.
  libc.dlopen(text(library), RTLD_NOW | RTLD_GLOBAL);
  const lua = dlopen(library, {
    luaL_newstate: { args: [], returns: "ptr" },
    luaL_openlibs: { args: ["ptr"], returns: "void" },
    luaL_loadfilex: { args: ["ptr", "ptr", "ptr"], returns: "i32" },
    lua_pushstring: { args: ["ptr", "ptr"], returns: "ptr" },
    lua_pcallk: { args: ["ptr", "i32", "i32", "i32", "i64", "ptr"], returns: "i32" },
    lua_tolstring: { args: ["ptr", "i32", "ptr"], returns: "cstring" },
  }).symbols;
  const state = lua.luaL_newstate();
  lua.luaL_openlibs(state);
  let status = lua.luaL_loadfilex(state, text(file), null);
  if (status === 0) {
    for (const argument of args) lua.lua_pushstring(state, text(argument));
    status = lua.lua_pcallk(state, args.length, 0, 0, 0, null);
  }
  if (status !== 0) console.error(String(lua.lua_tolstring(state, -1, null)));
  return status === 0 ? 0 : 1;
}

/** Kept: C reads it during the call. */
const kept: Buffer[] = [];
function text(value: string): Pointer {
  const bytes = Buffer.from(`${value}\0`);
  kept.push(bytes);
  return ptr(bytes);
}
