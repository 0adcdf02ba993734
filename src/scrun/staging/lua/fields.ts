/**
 * A message between the anchor and the Lua interpreter: a line with the byte length of each field, then the fields without anything in
 * between. Easy to read in plain Lua, and indifferent to what the fields hold.
 *
 *   interpreter ─► anchor   loaded | failed REASON                    after the script was read
 *                           log LEVEL TEXT                            LEVEL: 0 info … 5 debug4, error, user
 *                           from_yaml TEXT | to_yaml JSON | minutes TEXT   answered by: ok TEXT | error REASON
 *                           returned STATUS|none TYPE BUNDLE ROOT | raised REASON      the end of a call
 *   anchor ─► interpreter   stage_in|stage_out ID JOB UID GID SPOOL CONFIG BUNDLE0 BUNDLE ROOT0 ROOT NAME=VALUE…
 */
const MAX_HEAD = 64 * 1024;
const NEWLINE = 10;

export function packFields(fields: readonly string[]): Buffer {
  const bytes = fields.map((field) => Buffer.from(field));
  return Buffer.concat([Buffer.from(`${bytes.map(({ byteLength }) => byteLength).join(" ")}\n`), ...bytes]);
}

/** Puts messages together out of pieces of any size. */
export class FieldReader {
  #bytes = Buffer.alloc(0);

  /** @throws Error when it is no message */
  push(piece: Uint8Array): string[][] {
    this.#bytes = Buffer.concat([this.#bytes, piece]);
    const messages: string[][] = [];
    for (let message = this.#take(); message !== undefined; message = this.#take()) messages.push(message);
    return messages;
  }

  #take(): string[] | undefined {
    const end = this.#bytes.indexOf(NEWLINE);
    if (end < 0) {
      if (this.#bytes.byteLength > MAX_HEAD) throw new Error("no message of the interpreter");
      return undefined;
    }
    const head = this.#bytes.toString("latin1", 0, end);
    if (!/^\d{1,10}( \d{1,10})*$/.test(head)) throw new Error("no message of the interpreter");
    const lengths = head.split(" ").map(Number);
    let at = end + 1;
    if (this.#bytes.byteLength < at + lengths.reduce((sum, length) => sum + length, 0)) return undefined;
    const fields = lengths.map((length) => {
      const field = this.#bytes.toString("utf8", at, at + length);
      at += length;
      return field;
    });
    this.#bytes = this.#bytes.subarray(at);
    return fields;
  }
}
