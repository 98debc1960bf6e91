// The program that holds a pod's namespaces, as machine code made here: a static ELF of a few hundred bytes, so that a node
// needs no download to run its first pod. It does what Kubernetes' own pause does: wait; reap orphans when it is process 1 of
// a shared PID namespace; end on SIGINT and SIGTERM. Process 1 gets no default signal actions, so the three signals are
// blocked and taken with rt_sigtimedwait, which works for any process and needs no handler.
import { type CodeWriter, elf, elfMachine, int32, layOut } from "./elf.ts";
import type { Architecture } from "./image-archive.ts";

/** SIGINT (2), SIGTERM (15), SIGCHLD (17) as a kernel signal set: bit n-1 for signal n. */
const signalSet = (1n << 1n) | (1n << 14n) | (1n << 16n);

/** The executable's bytes. */
export function pauseProgram(architecture: Architecture): Uint8Array {
  return elf(elfMachine[architecture], architecture === "amd64" ? amd64Code() : arm64Code());
}

function assemble(write: CodeWriter): Uint8Array {
  const set = Buffer.alloc(8);
  set.writeBigUInt64LE(signalSet);
  return Buffer.concat([layOut(write), set]);
}

function amd64Code(): Uint8Array {
  return assemble((emit, label, to) => {
    const system = (call: number): void => emit(0xb8, ...int32(call), 0x0f, 0x05); // mov eax, call; syscall
    const end = (): number => to("end");
    emit(0x31, 0xff); // xor edi, edi                  SIG_BLOCK
    emit(0x48, 0x8d, 0x35, ...int32(end() - 7)); // lea rsi, [set]
    emit(0x31, 0xd2); // xor edx, edx
    emit(0x41, 0xba, ...int32(8)); // mov r10d, 8      size of the set
    system(14); // rt_sigprocmask
    label("wait");
    emit(0x48, 0x8d, 0x3d, ...int32(end() - 7)); // lea rdi, [set]
    emit(0x31, 0xf6); // xor esi, esi
    emit(0x31, 0xd2); // xor edx, edx
    emit(0x41, 0xba, ...int32(8)); // mov r10d, 8
    system(128); // rt_sigtimedwait, without a limit
    emit(0x83, 0xf8, 17); // cmp eax, SIGCHLD
    emit(0x74, to("reap") - 2); // je reap
    emit(0x85, 0xc0); // test eax, eax
    emit(0x78, (to("wait") - 2) & 0xff); // js wait    interrupted
    emit(0x31, 0xff); // xor edi, edi
    system(231); // exit_group(0)
    label("reap");
    emit(0x48, 0xc7, 0xc7, ...int32(-1)); // mov rdi, -1   any child
    emit(0x31, 0xf6); // xor esi, esi
    emit(0xba, ...int32(1)); // mov edx, WNOHANG
    emit(0x45, 0x31, 0xd2); // xor r10d, r10d
    system(61); // wait4
    emit(0x85, 0xc0); // test eax, eax
    emit(0x7f, (to("reap") - 2) & 0xff); // jg reap    there may be more
    emit(0xeb, (to("wait") - 2) & 0xff); // jmp wait
    label("end");
  });
}

function arm64Code(): Uint8Array {
  return assemble((emit, label, to) => {
    const word = (value: number): void => emit(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
    const move = (register: number, value: number): void => word(0xd2800000 | (value << 5) | register); // mov xN, #value
    const address = (register: number): void => {
      const offset = to("end");
      word(((offset & 3) << 29) | (((offset >> 2) & 0x7ffff) << 5) | 0x10000000 | register); // adr xN, set
    };
    const system = (call: number): void => {
      move(8, call);
      word(0xd4000001); // svc #0
    };
    const branchOffset19 = (name: string): number => ((to(name) >> 2) & 0x7ffff) << 5;
    move(0, 0); // SIG_BLOCK
    address(1);
    move(2, 0);
    move(3, 8); // size of the set
    system(135); // rt_sigprocmask
    label("wait");
    address(0);
    move(1, 0);
    move(2, 0);
    move(3, 8);
    system(137); // rt_sigtimedwait, without a limit
    word(0xf100001f | (17 << 10)); // cmp x0, #SIGCHLD
    word(0x54000000 | branchOffset19("reap")); // b.eq reap
    word(0xb7f80000 | (((to("wait") >> 2) & 0x3fff) << 5)); // tbnz x0, #63, wait   interrupted
    move(0, 0);
    system(94); // exit_group(0)
    label("reap");
    word(0x92800000); // mov x0, #-1   any child
    move(1, 0);
    move(2, 1); // WNOHANG
    move(3, 0);
    system(260); // wait4
    word(0xf100001f); // cmp x0, #0
    word(0x5400000c | branchOffset19("reap")); // b.gt reap   there may be more
    word(0x14000000 | ((to("wait") >> 2) & 0x3ffffff)); // b wait
    label("end");
  });
}
