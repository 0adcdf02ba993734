/** Values as libpmix reads them: arrays of pmix_info_t, by hand (pmix_common.h of PMIx 4, 64-bit). */
import { ptr } from "bun:ffi";

/** pmix_info_t: key (512 bytes), flags, then pmix_value_t: type, and at +8 a union of 24 bytes. */
const INFO_BYTES = 552;
const VALUE_AT = 520;
const UNION_AT = 528;

const TYPE = { string: 3, u16: 13, u32: 14, info: 24, dataArray: 39, rank: 40, regex: 49 } as const;

export type PmixValue =
  | { readonly type: "string" | "regex"; readonly value: string }
  | { readonly type: "u16" | "u32" | "rank"; readonly value: number }
  /** pmix_data_array_t of pmix_info_t. */
  | { readonly type: "infos"; readonly value: PmixInfos };

/** The buffers live as long as this does; libpmix copies what it is given. */
export class PmixInfos {
  readonly bytes: Buffer;
  readonly count: number;
  readonly #kept: unknown[] = [];

  constructor(entries: readonly (readonly [key: string, value: PmixValue])[]) {
    this.count = entries.length;
    this.bytes = Buffer.alloc(Math.max(1, entries.length) * INFO_BYTES);
    for (const [index, [key, value]] of entries.entries()) this.#write(index * INFO_BYTES, key, value);
  }

  #write(at: number, key: string, entry: PmixValue): void {
    this.bytes.write(key, at);
    this.bytes.writeUInt16LE(entry.type === "infos" ? TYPE.dataArray : TYPE[entry.type], at + VALUE_AT);
    const union = at + UNION_AT;
    switch (entry.type) {
      case "u16":
        this.bytes.writeUInt16LE(entry.value, union);
        break;
      case "u32":
      case "rank":
        this.bytes.writeUInt32LE(entry.value, union);
        break;
      case "string":
        this.bytes.writeBigUInt64LE(this.#keep(Buffer.from(`${entry.value}\0`)), union);
        break;
      case "regex": {
        // A byte object: text that ends with its NUL.
        const text = Buffer.from(`${entry.value}\0`);
        this.bytes.writeBigUInt64LE(this.#keep(text), union);
        this.bytes.writeBigUInt64LE(BigInt(text.byteLength), union + 8);
        break;
      }
      case "infos": {
        const array = Buffer.alloc(24);
        array.writeUInt16LE(TYPE.info, 0);
        array.writeBigUInt64LE(BigInt(entry.value.count), 8);
        array.writeBigUInt64LE(BigInt(ptr(entry.value.bytes)), 16);
        this.#kept.push(entry.value);
        this.bytes.writeBigUInt64LE(this.#keep(array), union);
        break;
      }
    }
  }

  #keep(bytes: Buffer): bigint {
    this.#kept.push(bytes);
    return BigInt(ptr(bytes));
  }
}
