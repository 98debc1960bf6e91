// Executables made here, of a few hundred bytes of machine code each: laying out code with labels, and the ELF file around it.
// A node so needs neither a compiler nor a download for the little that JavaScript cannot do.
import type { Architecture } from "./image-archive.ts";

/** e_machine. */
export const elfMachine: Readonly<Record<Architecture, number>> = { amd64: 62, arm64: 183 };

/** Emits code: `to` gives the distance from the place that is written next to a label. */
export type CodeWriter = (emit: (...bytes: readonly number[]) => void, label: (name: string) => void, to: (name: string) => number) => void;

/** Offsets of labels are known only after the first pass, so code is laid out twice. */
export function layOut(write: CodeWriter): Uint8Array {
  const labels = new Map<string, number>();
  const pass = (): number[] => {
    const code: number[] = [];
    write(
      (...bytes) => void code.push(...bytes),
      (name) => void labels.set(name, code.length),
      (name) => (labels.get(name) ?? 0) - code.length,
    );
    return code;
  };
  pass();
  return Buffer.from(pass());
}

/** Little-endian, as both architectures are. */
export const int32 = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >>> 24) & 0xff];

/** A static 64-bit little-endian executable with one loadable, read-only segment that holds headers and code. */
export function elf(machine: number, code: Uint8Array): Uint8Array {
  const base = 0x400000n;
  const headerSize = 64;
  const programHeaderSize = 56;
  const start = headerSize + programHeaderSize;
  const size = BigInt(start + code.length);
  const file = Buffer.alloc(start);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // magic, 64 bit, little-endian, version 1
  file.writeUInt16LE(2, 16); // e_type: executable
  file.writeUInt16LE(machine, 18);
  file.writeUInt32LE(1, 20); // e_version
  file.writeBigUInt64LE(base + BigInt(start), 24); // e_entry
  file.writeBigUInt64LE(BigInt(headerSize), 32); // e_phoff
  file.writeUInt16LE(headerSize, 52);
  file.writeUInt16LE(programHeaderSize, 54);
  file.writeUInt16LE(1, 56); // e_phnum
  file.writeUInt32LE(1, 64); // p_type: PT_LOAD
  file.writeUInt32LE(5, 68); // p_flags: readable, executable
  file.writeBigUInt64LE(base, 80); // p_vaddr
  file.writeBigUInt64LE(base, 88); // p_paddr
  file.writeBigUInt64LE(size, 96); // p_filesz
  file.writeBigUInt64LE(size, 104); // p_memsz
  file.writeBigUInt64LE(0x10000n, 112); // p_align: the largest page size of arm64
  return Buffer.concat([file, code]);
}
