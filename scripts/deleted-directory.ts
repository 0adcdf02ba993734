// Lets an executable that Bun has compiled start in a directory that has been deleted: `bun scripts/deleted-directory.ts FILE`, once, in place.
//
// Bun's own start-up asks for the working directory before it runs any of our code, and ends when there is none. So the executable begins with a few
// instructions of ours: getcwd(2), and when that fails with ENOENT chdir(2) to MARK, by which src/commands/dispatch.ts knows. They lie in the padding in
// front of the code segment, which the kernel maps with the segment's first page, and end with a jump to Bun's entry. Costs one system call.
// Elsewhere than on x86-64 nothing is changed, and Bun's message stays.
import { readFileSync, writeFileSync } from "node:fs";
import { MARK } from "../src/commands/deleted-directory.ts";

const PAGE = 0x1000;
const X86_64 = 62;
const [LOAD, EXECUTABLE] = [1, 1];

const [file = ""] = process.argv.slice(2);
const bytes = readFileSync(file);
/** The executable is whole without it: test/e2e/deleted-directory.test.ts is what fails then. */
const leave = (why: string): never => {
  console.error(`a deleted working directory stays an error of Bun's: ${why}`);
  process.exit(0);
};

/** Elf64_Ehdr and Elf64_Phdr, elf(5). */
if (bytes.toString("latin1", 0, 4) !== "\x7fELF" || bytes[4] !== 2 || bytes[5] !== 1) leave("this is no 64-bit little-endian ELF file");
if (bytes.readUInt16LE(18) !== X86_64) leave("this is not x86-64");
const entry = Number(bytes.readBigUInt64LE(24));
const segments = Array.from({ length: bytes.readUInt16LE(56) }, (_, i) => {
  const at = Number(bytes.readBigUInt64LE(32)) + i * bytes.readUInt16LE(54);
  const word = (offset: number) => Number(bytes.readBigUInt64LE(at + offset));
  return { type: bytes.readUInt32LE(at), flags: bytes.readUInt32LE(at + 4), offset: word(8), address: word(16), size: word(32) };
}).filter(({ type }) => type === LOAD);
const code = segments.find(({ flags, address, size }) => (flags & EXECUTABLE) !== 0 && entry >= address && entry < address + size);
if (code === undefined) throw leave("its entry is in no segment");
const before = Math.max(0, ...segments.filter(({ offset }) => offset < code.offset).map(({ offset, size }) => offset + size));
const room = { from: Math.max(before, code.offset - (code.offset % PAGE)), to: code.offset };
const addressOf = (offset: number) => code.address - (code.offset - offset);

/** rdx and the stack are the dynamic linker's message to Bun, and stay. */
const words = { mark: Buffer.from(`${MARK}\0`), root: Buffer.from("/\0") };
const chdir = [0xb8, 80, 0, 0, 0, 0x0f, 0x05]; // mov eax, SYS_chdir; syscall
const lea = [0x48, 0x8d, 0x3d, 0, 0, 0, 0]; // lea rdi, [rip + …]
const toRoot = [...lea, ...chdir];
const toMark = [...lea, ...chdir, 0x48, 0x85, 0xc0, 0x74, toRoot.length]; // test rax, rax; je out
const head = [0x52, 0x31, 0xff, 0x31, 0xf6, 0xb8, 79, 0, 0, 0, 0x0f, 0x05, 0x48, 0x83, 0xf8, 0xfe]; // push rdx; getcwd(NULL, 0); cmp rax, -ENOENT
const jumpOut = [0x75, toMark.length + toRoot.length]; // jne out
const tail = [0x5a, 0xe9, 0, 0, 0, 0]; // out: pop rdx; jmp entry
const stub = Buffer.concat([Buffer.from([...head, ...jumpOut, ...toMark, ...toRoot, ...tail]), words.mark, words.root]);

const start = Math.ceil(room.from / 16) * 16;
if (start + stub.length > room.to) leave(`only ${room.to - room.from} bytes of padding in front of the code`);
if (bytes.subarray(start, start + stub.length).some((byte) => byte !== 0)) leave("the padding in front of the code is in use");
const lengthOfCode = stub.length - words.mark.length - words.root.length;
const atToMark = head.length + jumpOut.length;
const atToRoot = atToMark + toMark.length;
stub.writeInt32LE(lengthOfCode - (atToMark + lea.length), atToMark + 3);
stub.writeInt32LE(lengthOfCode + words.mark.length - (atToRoot + lea.length), atToRoot + 3);
stub.writeInt32LE(entry - addressOf(start + lengthOfCode), lengthOfCode - 4);
stub.copy(bytes, start);
bytes.writeBigUInt64LE(BigInt(addressOf(start)), 24);
writeFileSync(file, bytes);
