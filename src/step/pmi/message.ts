/**
 * The two texts that PMI clients and their process manager exchange over an inherited socket.
 *
 *   PMI-1   one line:                cmd=put kvsname=3.0 key=k value=v\n
 *   PMI-2   six digits, then text:   "    34cmd=kvs-put;key=k;value=a;;b;"      (";;" is a semicolon of the value)
 *
 * Every client starts with a PMI-1 line, `cmd=init pmi_version=V …`; one that gets version 2 back goes on in PMI-2.
 * PMI_Spawn of PMI-1 is the exception: several lines from `mcmd=spawn` to `endcmd`, one field each.
 */

export type Message = ReadonlyMap<string, string>;
export type Version = 1 | 2;

/** More than any client sends at once; what is longer is no PMI. */
const MAX_MESSAGE = 256 * 1024;
const LENGTH_DIGITS = 6;

export class NotPmi extends Error {}

/** Cuts a stream of bytes into messages. */
export class MessageReader {
  version: Version = 1;
  #rest = Buffer.alloc(0);
  #spawn: Map<string, string> | undefined;

  /** Calls `take` for each whole message; it may set `version` for what follows. @throws NotPmi */
  push(bytes: Uint8Array, take: (message: Message) => void): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    for (let message = this.#next(); message !== undefined; message = this.#next()) if (message !== "part") take(message);
    if (this.#rest.byteLength > MAX_MESSAGE) throw new NotPmi("a message is too long");
  }

  #next(): Message | "part" | undefined {
    if (this.version === 2) {
      if (this.#rest.byteLength < LENGTH_DIGITS) return undefined;
      const length = Number(this.#rest.toString("latin1", 0, LENGTH_DIGITS));
      if (!Number.isInteger(length) || length > MAX_MESSAGE) throw new NotPmi("a message has no length");
      const text = this.#take(LENGTH_DIGITS + length, LENGTH_DIGITS);
      return text === undefined ? undefined : parseFields(text);
    }
    const end = this.#rest.indexOf(0x0a);
    const line = end < 0 ? undefined : this.#take(end + 1, 0)?.slice(0, -1);
    return line === undefined ? undefined : this.#line(line);
  }

  #take(end: number, start: number): string | undefined {
    if (this.#rest.byteLength < end) return undefined;
    const text = this.#rest.toString("latin1", start, end);
    this.#rest = this.#rest.subarray(end);
    return text;
  }

  #line(line: string): Message | "part" {
    if (line.startsWith("mcmd=")) this.#spawn = new Map([["cmd", line.slice("mcmd=".length)]]);
    else if (this.#spawn === undefined) return parseLine(line);
    else if (line === "endcmd") {
      const spawn = this.#spawn;
      this.#spawn = undefined;
      return spawn;
    }
    return "part";
  }
}

/** The last field of these may hold blanks: ports and values are whatever a transport made of its addresses. */
const TO_END_OF_LINE = /(?:^| )(value|port|error_msg)=(.*)$/;

function parseLine(line: string): Message {
  const fields = new Map<string, string>();
  const last = TO_END_OF_LINE.exec(line);
  for (const word of line.slice(0, last?.index ?? line.length).split(/ +/)) {
    const at = word.indexOf("=");
    if (at > 0) fields.set(word.slice(0, at), word.slice(at + 1));
  }
  if (last !== null) fields.set(last[1] as string, last[2] as string);
  return fields;
}

function parseFields(text: string): Message {
  const fields = new Map<string, string>();
  for (const [field] of text.matchAll(/(?:[^;]|;;)+/g)) {
    const at = field.indexOf("=");
    if (at > 0) fields.set(field.slice(0, at), field.slice(at + 1).replaceAll(";;", ";"));
  }
  return fields;
}

export type Fields = readonly (readonly [name: string, value: string | number])[];

/** Fields in the order given, `cmd` first. */
export function printMessage(version: Version, cmd: string, fields: Fields): Uint8Array {
  const all: Fields = [["cmd", cmd], ...fields];
  const text =
    version === 1
      ? `${all.map(([name, value]) => `${name}=${value}`).join(" ")}\n`
      : all.map(([name, value]) => `${name}=${String(value).replaceAll(";", ";;")};`).join("");
  const bytes = Buffer.from(text, "latin1");
  return version === 1 ? bytes : Buffer.concat([Buffer.from(String(bytes.byteLength).padStart(LENGTH_DIGITS)), bytes]);
}
