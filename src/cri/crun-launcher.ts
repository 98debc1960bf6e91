// crun takes control groups of version 1 or of version 2, but not the hybrid of both with controllers in version 2's tree, which
// is all that this machine may have. This program starts it where there is only version 1: in a mount namespace of its own, as
// short-lived as the command, in which version 2's tree is unmounted. Nothing else of the mounts differs, nor how they propagate
// to containers and back. As machine code made here it costs a fraction of a millisecond each time; a shell script would cost
// as much as crun itself.
import { type CodeWriter, elf, elfMachine, int32, layOut } from "./elf.ts";
import type { Architecture } from "./image-archive.ts";

const newMountNamespace = 0x0002_0000;
/** MS_PRIVATE: unmounting within must not reach the machine's own tree. */
const makePrivate = 0x0004_0000;
const detach = 2;
/** As of a shell that cannot execute a command. */
const failureExitCode = 126;

export interface LauncherPlan {
  /** What is executed, with the arguments and the environment given. */
  readonly program: string;
  /** The mount that is to be private, "/sys/fs/cgroup". */
  readonly parent: string;
  /** The mount below it that goes, "/sys/fs/cgroup/unified". */
  readonly hidden: string;
}

/** The executable's bytes. */
export function crunLauncher(architecture: Architecture, { program, parent, hidden }: LauncherPlan): Uint8Array {
  const code = architecture === "amd64" ? amd64Code : arm64Code;
  const strings = (emit: (...bytes: readonly number[]) => void, label: (name: string) => void): void => {
    for (const [name, text] of Object.entries({ program, parent, hidden })) {
      label(name);
      emit(...Buffer.from(text), 0);
    }
  };
  const write: CodeWriter = (emit, label, to) => {
    code(emit, label, to);
    strings(emit, label);
  };
  return elf(elfMachine[architecture], layOut(write));
}

const amd64Code: CodeWriter = (emit, label, to) => {
  const system = (call: number): void => emit(0xb8, ...int32(call), 0x0f, 0x05); // mov eax, call; syscall
  const orFail = (): void => {
    emit(0x85, 0xc0); // test eax, eax
    emit(0x0f, 0x88, ...int32(to("fail") - 6)); // js fail
  };
  emit(0xbf, ...int32(newMountNamespace)); // mov edi, CLONE_NEWNS
  system(272); // unshare
  orFail();
  emit(0x31, 0xff); // xor edi, edi                  no source
  emit(0x48, 0x8d, 0x35, ...int32(to("parent") - 7)); // lea rsi, [parent]
  emit(0x31, 0xd2); // xor edx, edx                  no file system
  emit(0x41, 0xba, ...int32(makePrivate)); // mov r10d, MS_PRIVATE
  emit(0x45, 0x31, 0xc0); // xor r8d, r8d            no data
  system(165); // mount
  orFail();
  emit(0x48, 0x8d, 0x3d, ...int32(to("hidden") - 7)); // lea rdi, [hidden]
  emit(0xbe, ...int32(detach)); // mov esi, MNT_DETACH
  system(166); // umount2
  orFail();
  emit(0x48, 0x8d, 0x3d, ...int32(to("program") - 7)); // lea rdi, [program]
  emit(0x48, 0x8b, 0x04, 0x24); // mov rax, [rsp]      argc
  emit(0x48, 0x8d, 0x74, 0x24, 0x08); // lea rsi, [rsp+8]
  emit(0x48, 0x8d, 0x54, 0xc4, 0x10); // lea rdx, [rsp+rax*8+16]
  system(59); // execve
  label("fail");
  emit(0xbf, ...int32(failureExitCode)); // mov edi, 126
  system(231); // exit_group
};

const arm64Code: CodeWriter = (emit, label, to) => {
  const word = (value: number): void => emit(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
  const move = (register: number, value: number): void => word(0xd2800000 | (value << 5) | register); // mov xN, #value
  const moveHigh = (register: number, value: number): void => word(0xd2a00000 | ((value >>> 16) << 5) | register); // mov xN, #value, lsl 16
  const address = (register: number, name: string): void => {
    const offset = to(name);
    word(((offset & 3) << 29) | (((offset >> 2) & 0x7ffff) << 5) | 0x10000000 | register); // adr xN, name
  };
  const system = (call: number): void => {
    move(8, call);
    word(0xd4000001); // svc #0
  };
  const orFail = (): void => word(0xb7f80000 | (((to("fail") >> 2) & 0x3fff) << 5)); // tbnz x0, #63, fail
  moveHigh(0, newMountNamespace);
  system(97); // unshare
  orFail();
  move(0, 0); // no source
  address(1, "parent");
  move(2, 0); // no file system
  moveHigh(3, makePrivate);
  move(4, 0); // no data
  system(40); // mount
  orFail();
  address(0, "hidden");
  move(1, detach);
  system(39); // umount2
  orFail();
  address(0, "program");
  word(0xf94003e9); // ldr x9, [sp]                    argc
  word(0x910023e1); // add x1, sp, #8
  word(0x8b090c22); // add x2, x1, x9, lsl #3
  word(0x91002042); // add x2, x2, #8
  system(221); // execve
  label("fail");
  move(0, failureExitCode);
  system(94); // exit_group
};
