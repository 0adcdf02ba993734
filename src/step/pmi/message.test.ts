import { describe, expect, test } from "bun:test";
import { MessageReader, NotPmi, printMessage, type Message } from "./message.ts";

function read(reader: MessageReader, ...chunks: readonly (string | Uint8Array)[]): Record<string, string>[] {
  const messages: Message[] = [];
  for (const chunk of chunks) reader.push(typeof chunk === "string" ? Buffer.from(chunk) : chunk, (message) => messages.push(message));
  return messages.map((message) => Object.fromEntries(message));
}

describe("PMI-1", () => {
  test("lines come in pieces, or several at once", () => {
    expect(read(new MessageReader(), "cmd=put kvsname=1.0 key=a val", "ue=x=y\ncmd=barrier_in\ncmd=", "finalize\n")).toEqual([
      { cmd: "put", kvsname: "1.0", key: "a", value: "x=y" },
      { cmd: "barrier_in" },
      { cmd: "finalize" },
    ]);
  });

  test("a value with blanks stays whole", () =>
    expect(read(new MessageReader(), "cmd=publish_name service=s port=a b c\n")).toEqual([
      { cmd: "publish_name", service: "s", port: "a b c" },
    ]));

  test("the lines of a spawn are one message", () =>
    expect(read(new MessageReader(), "mcmd=spawn\nnprocs=1\nexecname=/bin/true\nendcmd\ncmd=finalize\n")).toEqual([
      { cmd: "spawn" },
      { cmd: "finalize" },
    ]));

  test("what has no end is refused", () => {
    const reader = new MessageReader();
    expect(() => {
      for (let i = 0; i < 100; i++) read(reader, "x".repeat(10_000));
    }).toThrow(NotPmi);
  });
});

describe("PMI-2", () => {
  const reader = () => Object.assign(new MessageReader(), { version: 2 });

  test("what is printed is read again, cut anywhere, with semicolons", () => {
    const bytes = Buffer.concat([
      printMessage(2, "kvs-put", [
        ["key", "a"],
        ["value", ";x;;y"],
      ]),
      printMessage(2, "kvs-fence", []),
    ]);
    for (let cut = 0; cut <= bytes.byteLength; cut++)
      expect(read(reader(), bytes.subarray(0, cut), bytes.subarray(cut))).toEqual([
        { cmd: "kvs-put", key: "a", value: ";x;;y" },
        { cmd: "kvs-fence" },
      ]);
  });

  test("a length is six characters", () => expect(Buffer.from(printMessage(2, "finalize", [])).toString()).toBe("    13cmd=finalize;"));

  test("no length is refused", () => expect(() => read(reader(), "cmd=fullinit;")).toThrow(NotPmi));
});
