/** What is answered in PMI-2: `NAME` by `NAME-response`, with the caller's thread id if it gave one. */
import { NO_ROOM, NO_SPAWN, type Answer, type Call } from "./call.ts";
import type { Fields } from "./message.ts";

type Reply = (call: Call) => Fields | null;

const DONE: Fields = [["rc", 0]];

function result(isDone: boolean, why: string): Fields {
  return isDone
    ? DONE
    : [
        ["rc", -1],
        ["errmsg", why],
      ];
}

function found(value: string | undefined): Fields {
  return value === undefined
    ? [
        ["found", "FALSE"],
        ["rc", 0],
      ]
    : [
        ["found", "TRUE"],
        ["value", value],
        ["rc", 0],
      ];
}

function fullInit({ rank, space }: Call): Fields {
  return [
    ["pmi-version", 2],
    ["pmi-subversion", 0],
    ["rank", rank],
    ["size", space.size],
    ["appnum", 0],
    ["debugged", "FALSE"],
    ["pmiverbose", "FALSE"],
    ["rc", 0],
  ];
}

function jobAttribute({ field, space }: Call): Fields {
  if (field("key") === "PMI_process_mapping") return found(space.mapping);
  return found(field("key") === "universeSize" ? String(space.facts.universeSize) : undefined);
}

function nodeAttribute(call: Call): Fields | null {
  const { field, rank, space } = call;
  const value = space.getNodeAttribute(rank, field("key"));
  if (value !== undefined || field("wait") !== "TRUE") return found(value);
  space.awaitNodeAttribute(rank, field("key"), (late) => call.reply(respond(call, found(late))));
  return null;
}

function fence(call: Call): null {
  call.space.enterBarrier(call.rank, () => call.reply(respond(call, DONE)));
  return null;
}

function lookUp({ field, space }: Call): Fields {
  const port = space.lookUp(field("name"));
  return port === undefined ? result(false, "service not found") : [["port", port], ...found(port)];
}

const REPLIES: Readonly<Record<string, Reply>> = {
  fullinit: fullInit,
  "job-getid": ({ space }) => [["jobid", space.facts.name], ...DONE],
  "kvs-put": ({ field, space }) => result(space.put(field("key"), field("value")), NO_ROOM),
  "kvs-get": ({ field, space }) => found(space.get(field("key"))),
  "kvs-fence": fence,
  "info-getjobattr": jobAttribute,
  "info-putnodeattr": ({ field, space, rank }) => result(space.putNodeAttribute(rank, field("key"), field("value")), NO_ROOM),
  "info-getnodeattr": nodeAttribute,
  "name-publish": ({ field, space }) => result(space.publish(field("name"), field("port")), NO_ROOM),
  "name-unpublish": ({ field, space }) => result(space.unpublish(field("name")), "service not found"),
  "name-lookup": lookUp,
  spawn: () => result(false, NO_SPAWN),
  finalize: () => DONE,
  abort: ({ abort }) => {
    abort();
    return null;
  },
};

export function answerPmi2(call: Call): Answer | null {
  const cmd = call.field("cmd");
  const fields = Object.hasOwn(REPLIES, cmd) ? REPLIES[cmd]?.(call) : result(false, `${cmd} is not supported`);
  return fields == null ? null : respond(call, fields);
}

function respond({ field, message }: Call, fields: Fields): Answer {
  const thread = message.get("thrid");
  return { cmd: `${field("cmd")}-response`, fields: thread === undefined ? fields : [["thrid", thread], ...fields] };
}
