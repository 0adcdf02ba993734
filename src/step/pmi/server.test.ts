import { describe, expect, test } from "bun:test";
import { MessageReader, printMessage, type Fields, type Message } from "./message.ts";
import { PmiServer } from "./server.ts";
import { Space } from "./space.ts";

/** Tasks of one step, as their sockets see it. */
function step(tasks: number, version: 1 | 2) {
  const space = new Space({ name: "7.0", nodeOf: Array.from({ length: tasks }, (_, rank) => rank % 2), universeSize: tasks });
  const aborted: number[] = [];
  return {
    aborted,
    tasks: Array.from({ length: tasks }, (_, rank) => {
      const reader = new MessageReader();
      const answers: Record<string, string>[] = [];
      let isHungUp = false;
      const server = new PmiServer(rank, space, {
        write: (bytes) => reader.push(bytes, (message: Message) => answers.push(Object.fromEntries(message))),
        close: () => {
          isHungUp = true;
        },
        abort: () => aborted.push(rank),
      });
      const send = (cmd: string, fields: Fields = []) => {
        server.push(printMessage(reader.version, cmd, fields));
        return answers.splice(0);
      };
      expect(
        send("init", [
          ["pmi_version", version],
          ["pmi_subversion", 1],
        ]),
      ).toMatchObject([{ cmd: "response_to_init", pmi_version: String(version), rc: "0" }]);
      reader.version = version;
      return { send, waiting: () => answers.splice(0), push: (text: string) => server.push(Buffer.from(text)), isHungUp: () => isHungUp };
    }),
  };
}

type TaskOf = ReturnType<typeof step>["tasks"][number];
function pair(version: 1 | 2): { first: TaskOf; second: TaskOf; aborted: number[] } {
  const { tasks, aborted } = step(2, version);
  const [first, second] = tasks;
  if (first === undefined || second === undefined) throw new Error("two tasks were wanted");
  return { first, second, aborted };
}

describe("PMI-1", () => {
  test("a key that one rank has put is there for another behind the barrier", () => {
    const { first, second } = pair(1);
    expect(
      first.send("put", [
        ["kvsname", "7.0"],
        ["key", "k"],
        ["value", "v"],
      ]),
    ).toEqual([{ cmd: "put_result", rc: "0", msg: "success" }]);
    expect(first.send("barrier_in")).toEqual([]);
    expect(second.send("barrier_in")).toEqual([{ cmd: "barrier_out" }]);
    expect(first.waiting()).toEqual([{ cmd: "barrier_out" }]);
    expect(
      second.send("get", [
        ["kvsname", "7.0"],
        ["key", "k"],
      ]),
    ).toMatchObject([{ cmd: "get_result", rc: "0", value: "v" }]);
    expect(
      second.send("get", [
        ["kvsname", "7.0"],
        ["key", "none"],
      ]),
    ).toMatchObject([{ rc: "-1" }]);
    expect(
      second.send("get", [
        ["kvsname", "7.0"],
        ["key", "PMI_process_mapping"],
      ]),
    ).toMatchObject([{ value: "(vector,(0,2,1))" }]);
  });

  test("the keys by number, to the end", () => {
    const { first } = pair(1);
    first.send("put", [
      ["key", "k"],
      ["value", "v"],
    ]);
    expect(first.send("getbyidx", [["idx", 1]])).toMatchObject([{ rc: "0", nextidx: "2", key: "k", val: "v" }]);
    expect(first.send("getbyidx", [["idx", 2]])).toMatchObject([{ rc: "-2" }]);
  });

  test("names: published, found, withdrawn", () => {
    const { first, second } = pair(1);
    expect(second.send("lookup_name", [["service", "s"]])).toMatchObject([{ rc: "-1" }]);
    expect(
      first.send("publish_name", [
        ["service", "s"],
        ["port", "tag#0"],
      ]),
    ).toMatchObject([{ cmd: "publish_result", rc: "0" }]);
    expect(second.send("lookup_name", [["service", "s"]])).toMatchObject([{ rc: "0", port: "tag#0" }]);
    expect(first.send("unpublish_name", [["service", "s"]])).toMatchObject([{ rc: "0" }]);
    expect(first.send("unpublish_name", [["service", "s"]])).toMatchObject([{ rc: "-1" }]);
    expect(
      first.send("publish_name", [
        ["service", "s"],
        ["port", "with blanks"],
      ]),
    ).toMatchObject([{ rc: "-1" }]);
  });

  test("what is not done is refused, and abort has no answer", () => {
    const { first, aborted } = pair(1);
    first.push("mcmd=spawn\nnprocs=1\nendcmd\n");
    expect(first.waiting()).toMatchObject([{ cmd: "spawn_result", rc: "-1" }]);
    expect(first.send("toString")).toMatchObject([{ rc: "-1" }]);
    expect(first.send("abort", [["exitcode", 7]])).toEqual([]);
    expect(aborted).toEqual([0]);
  });
});

describe("PMI-2", () => {
  test("who asks is told who he is", () => {
    const { second } = pair(2);
    expect(
      second.send("fullinit", [
        ["pmijobid", "7.0"],
        ["threaded", "FALSE"],
      ]),
    ).toMatchObject([{ cmd: "fullinit-response", "pmi-version": "2", rank: "1", size: "2", rc: "0" }]);
    expect(second.send("job-getid")).toMatchObject([{ jobid: "7.0", rc: "0" }]);
    expect(second.send("info-getjobattr", [["key", "universeSize"]])).toMatchObject([{ found: "TRUE", value: "2" }]);
    expect(second.send("info-getjobattr", [["key", "none"]])).toMatchObject([{ found: "FALSE", rc: "0" }]);
  });

  test("put, fence, get, with the thread that asked", () => {
    const { first, second } = pair(2);
    expect(
      first.send("kvs-put", [
        ["thrid", "3"],
        ["key", "k"],
        ["value", "a;b"],
      ]),
    ).toEqual([{ cmd: "kvs-put-response", thrid: "3", rc: "0" }]);
    expect(first.send("kvs-fence", [["thrid", "4"]])).toEqual([]);
    expect(second.send("kvs-fence")).toEqual([{ cmd: "kvs-fence-response", rc: "0" }]);
    expect(first.waiting()).toEqual([{ cmd: "kvs-fence-response", thrid: "4", rc: "0" }]);
    expect(second.send("kvs-get", [["key", "k"]])).toMatchObject([{ found: "TRUE", value: "a;b" }]);
  });

  test("an attribute of a node reaches who waits on that node, and nobody else", () => {
    const { tasks } = step(4, 2);
    const [rank0, rank1, rank2] = tasks as [TaskOf, TaskOf, TaskOf, TaskOf]; // ranks 0 and 2 are on one node
    expect(
      rank2.send("info-getnodeattr", [
        ["key", "shm"],
        ["wait", "TRUE"],
      ]),
    ).toEqual([]);
    expect(
      rank1.send("info-putnodeattr", [
        ["key", "shm"],
        ["value", "other"],
      ]),
    ).toMatchObject([{ rc: "0" }]);
    expect(rank2.waiting()).toEqual([]);
    expect(
      rank0.send("info-putnodeattr", [
        ["key", "shm"],
        ["value", "mine"],
      ]),
    ).toMatchObject([{ rc: "0" }]);
    expect(rank2.waiting()).toMatchObject([{ cmd: "info-getnodeattr-response", found: "TRUE", value: "mine" }]);
  });

  test("what is not done is refused in words; what is no PMI is hung up on", () => {
    const { first, aborted } = pair(2);
    expect(first.send("spawn", [["ncmds", 1]])).toMatchObject([
      { cmd: "spawn-response", rc: "-1", errmsg: expect.stringContaining("srun") },
    ]);
    expect(first.send("job-connect")).toMatchObject([{ rc: "-1" }]);
    expect(first.send("abort", [["isworld", "TRUE"]])).toEqual([]);
    expect(aborted).toEqual([0]);
    first.push("GET / HTTP/1.1\r\n");
    expect(first.isHungUp()).toBe(true);
  });
});
