// crun takes control groups of version 1 or of version 2, but not the hybrid of both with controllers in version 2's tree, which
// is all that this machine may have. This program starts it where there seems to be only version 1: in a mount namespace of its
// own, as short-lived as the command, in which an empty tmpfs covers version 2's tree (without it crun would make its groups as
// mere directories below the mount point). Nothing else of the mounts differs, nor how they propagate to containers and back.
// The same tmpfs holds a read-only mount of crun's directory: crun copies itself at every start, so that no container can
// write to it, unless it finds itself on a read-only mount, and is told to look. As machine code made here all of this costs a
// fraction of a millisecond each time, and saves two; a shell script would cost as much as crun itself.
import { basename, dirname, join } from "node:path";
import { type CodeWriter, elf, elfMachine, int32, layOut } from "./elf.ts";
import type { Architecture } from "./image-archive.ts";

const newMountNamespace = 0x0002_0000;
/** MS_PRIVATE: what is mounted in the namespace must not appear on the machine. */
const makePrivate = 0x0004_0000;
const bind = 0x1000;
/** MS_REMOUNT | MS_BIND | MS_RDONLY. */
const readOnlyBind = 0x1021;
/** As of a shell that cannot execute a command. */
const failureExitCode = 126;
const lookAtMount = "_LIBCONTAINER_CLONED_BINARY=1";

export interface LauncherPlan {
  /** What is executed, with the arguments and the environment given. */
  readonly program: string;
  /** The mount that is covered, "/sys/fs/cgroup/unified". */
  readonly hidden: string;
}

/** One call of mount(2); the names are labels of strings. */
interface MountCall {
  readonly source?: string;
  readonly target: string;
  readonly type?: string;
  readonly flags: number;
}

const privately: MountCall = { target: "hidden", flags: makePrivate };
const cover: MountCall = { source: "tmpfs", target: "hidden", type: "tmpfs", flags: 0 };
const bindDirectory: MountCall = { source: "directory", target: "place", flags: bind };
const protect: MountCall = { target: "place", flags: readOnlyBind };

/** The executable's bytes. */
export function crunLauncher(architecture: Architecture, { program, hidden }: LauncherPlan): Uint8Array {
  const place = join(hidden, "bin");
  const strings = { hidden, place, tmpfs: "tmpfs", directory: dirname(program), program: join(place, basename(program)), lookAtMount };
  const code = architecture === "amd64" ? amd64Code : arm64Code;
  const write: CodeWriter = (emit, label, to) => {
    code(emit, label, to);
    for (const [name, text] of Object.entries(strings)) {
      label(name);
      emit(...Buffer.from(text), 0);
    }
  };
  return elf(elfMachine[architecture], layOut(write));
}

const amd64Code: CodeWriter = (emit, label, to) => {
  const orFail = (): void => {
    emit(0x85, 0xc0); // test eax, eax
    emit(0x0f, 0x88, ...int32(to("fail") - 6)); // js fail
  };
  const system = (call: number): void => {
    emit(0xb8, ...int32(call), 0x0f, 0x05); // mov eax, call; syscall
    orFail();
  };
  const address = (lea: readonly number[], zero: readonly number[], name: string | undefined): void => {
    if (name === undefined) emit(...zero);
    else emit(...lea, ...int32(to(name) - 7));
  };
  const mount = ({ source, target, type, flags }: MountCall): void => {
    address([0x48, 0x8d, 0x3d], [0x31, 0xff], source); // lea rdi, [source] or xor edi, edi
    address([0x48, 0x8d, 0x35], [], target); // lea rsi, [target]
    address([0x48, 0x8d, 0x15], [0x31, 0xd2], type); // lea rdx, [type] or xor edx, edx
    emit(0x41, 0xba, ...int32(flags)); // mov r10d, flags
    emit(0x45, 0x31, 0xc0); // xor r8d, r8d            no data
    system(165);
  };
  emit(0xbf, ...int32(newMountNamespace)); // mov edi, CLONE_NEWNS
  system(272); // unshare
  mount(privately);
  mount(cover);
  address([0x48, 0x8d, 0x3d], [], "place"); // lea rdi, [place]
  emit(0xbe, ...int32(0o700)); // mov esi, mode
  system(83); // mkdir
  mount(bindDirectory);
  mount(protect);
  // The arguments move to the place of their number, which makes room for one variable before the environment.
  emit(0x48, 0x8b, 0x0c, 0x24); // mov rcx, [rsp]
  emit(0x48, 0xff, 0xc1); // inc rcx                   with the final null
  emit(0x48, 0x89, 0xe7); // mov rdi, rsp
  emit(0x48, 0x8d, 0x74, 0x24, 0x08); // lea rsi, [rsp+8]
  emit(0xfc, 0xf3, 0x48, 0xa5); // cld; rep movsq
  address([0x48, 0x8d, 0x05], [], "lookAtMount"); // lea rax, [lookAtMount]
  emit(0x48, 0x89, 0x07); // mov [rdi], rax
  emit(0x48, 0x89, 0xfa); // mov rdx, rdi
  emit(0x48, 0x89, 0xe6); // mov rsi, rsp
  address([0x48, 0x8d, 0x3d], [], "program"); // lea rdi, [program]
  system(59); // execve
  label("fail");
  emit(0xbf, ...int32(failureExitCode)); // mov edi, 126
  emit(0xb8, ...int32(231), 0x0f, 0x05); // exit_group
};

const arm64Code: CodeWriter = (emit, label, to) => {
  const word = (value: number): void => emit(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
  const move = (register: number, value: number): void =>
    // mov xN, #value, of which only the upper or only the lower half is not 0
    value > 0xffff ? word(0xd2a00000 | ((value >>> 16) << 5) | register) : word(0xd2800000 | (value << 5) | register);
  const address = (register: number, name: string | undefined): void => {
    if (name === undefined) return move(register, 0);
    const offset = to(name);
    word(((offset & 3) << 29) | (((offset >> 2) & 0x7ffff) << 5) | 0x10000000 | register); // adr xN, name
  };
  const system = (call: number): void => {
    move(8, call);
    word(0xd4000001); // svc #0
    word(0xb7f80000 | (((to("fail") >> 2) & 0x3fff) << 5)); // tbnz x0, #63, fail
  };
  const mount = ({ source, target, type, flags }: MountCall): void => {
    address(0, source);
    address(1, target);
    address(2, type);
    move(3, flags);
    move(4, 0); // no data
    system(40);
  };
  move(0, newMountNamespace);
  system(97); // unshare
  mount(privately);
  mount(cover);
  word(0x92800000 | (99 << 5)); // mov x0, #-100       AT_FDCWD
  address(1, "place");
  move(2, 0o700);
  system(34); // mkdirat
  mount(bindDirectory);
  mount(protect);
  // As above.
  word(0xf94003e9); // ldr x9, [sp]
  word(0x910003ea); // mov x10, sp
  word(0x9100052b); // add x11, x9, #1
  label("shift");
  word(0xf940054c); // ldr x12, [x10, #8]
  word(0xf800854c); // str x12, [x10], #8
  word(0xf100056b); // subs x11, x11, #1
  word(0x54000001 | (((to("shift") >> 2) & 0x7ffff) << 5)); // b.ne shift
  address(12, "lookAtMount");
  word(0xf900014c); // str x12, [x10]
  word(0xaa0a03e2); // mov x2, x10
  word(0x910003e1); // mov x1, sp
  address(0, "program");
  system(221); // execve
  label("fail");
  move(0, failureExitCode);
  move(8, 94); // exit_group
  word(0xd4000001);
};
