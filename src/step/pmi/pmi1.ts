/** What is answered in PMI-1. Texts in answers have no blanks: a blank ends a field. */
import { NO_BLANKS, NO_ROOM, NO_SPAWN, type Answer, type Call, type Handler } from "./call.ts";
import type { Fields } from "./message.ts";
import { MAX_KEY, MAX_NAME, MAX_VALUE } from "./space.ts";

const answer = (cmd: string, ...fields: Fields): Answer => ({ cmd, fields });
const word = (text: string) => text.replaceAll(" ", "_");

function put(cmd: string, isDone: boolean, why: string): Answer {
  return answer(cmd, ["rc", isDone ? 0 : -1], ["msg", isDone ? "success" : word(why)]);
}

function name(cmd: string, isDone: boolean, why: string): Answer {
  return answer(cmd, ["rc", isDone ? 0 : -1], ["info", isDone ? "ok" : word(why)]);
}

function store(value: string, keep: (value: string) => boolean, tell: (isDone: boolean, why: string) => Answer): Answer {
  return value.includes(" ") ? tell(false, NO_BLANKS) : tell(keep(value), NO_ROOM);
}

function get({ field, space }: Call): Answer {
  const value = space.get(field("key"));
  return value === undefined
    ? answer("get_result", ["rc", -1], ["msg", word(`key ${field("key")} not found`)], ["value", "unknown"])
    : answer("get_result", ["rc", 0], ["msg", "success"], ["value", value]);
}

function getByIndex({ field, space }: Call): Answer {
  const index = Number(field("idx"));
  const [key, value = ""] = space.entryAt(index) ?? [];
  return key === undefined
    ? answer("getbyidx_results", ["rc", -2], ["reason", "no_more_keyvals"])
    : answer("getbyidx_results", ["rc", 0], ["nextidx", index + 1], ["key", key], ["val", value]);
}

function lookUp({ field, space }: Call): Answer {
  const port = space.lookUp(field("service"));
  return port === undefined
    ? name("lookup_result", false, "service not found")
    : answer("lookup_result", ["rc", 0], ["info", "ok"], ["port", port]);
}

function barrier({ space, rank, reply }: Call): null {
  space.enterBarrier(rank, () => reply(answer("barrier_out")));
  return null;
}

const HANDLERS: Readonly<Record<string, Handler>> = {
  get_maxes: () => answer("maxes", ["kvsname_max", MAX_NAME], ["keylen_max", MAX_KEY], ["vallen_max", MAX_VALUE]),
  get_appnum: () => answer("appnum", ["appnum", 0]),
  get_universe_size: ({ space }) => answer("universe_size", ["size", space.facts.universeSize]),
  get_my_kvsname: ({ space }) => answer("my_kvsname", ["kvsname", space.facts.name]),
  create_kvs: ({ space }) => answer("newkvs", ["kvsname", space.facts.name]), // the step has one space
  destroy_kvs: () => put("kvs_destroyed", true, ""),
  put: ({ field, space }) =>
    store(
      field("value"),
      (value) => space.put(field("key"), value),
      (...end) => put("put_result", ...end),
    ),
  get,
  getbyidx: getByIndex,
  barrier_in: barrier,
  publish_name: ({ field, space }) =>
    store(
      field("port"),
      (port) => space.publish(field("service"), port),
      (...end) => name("publish_result", ...end),
    ),
  unpublish_name: ({ field, space }) => name("unpublish_result", space.unpublish(field("service")), "service not found"),
  lookup_name: lookUp,
  spawn: () => answer("spawn_result", ["rc", -1], ["errcodes", -1], ["msg", word(NO_SPAWN)]),
  finalize: () => answer("finalize_ack", ["rc", 0]),
  abort: ({ abort }) => {
    abort();
    return null;
  },
};

export function answerPmi1(call: Call): Answer | null {
  const cmd = call.field("cmd");
  if (Object.hasOwn(HANDLERS, cmd)) return HANDLERS[cmd]?.(call) ?? null;
  return put(`${word(cmd)}_result`, false, "unknown command");
}
