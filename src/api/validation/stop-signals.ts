// The signals that can stop a container on Linux, sorted as messages list them.
const named =
  "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ";

const from = (base: string, sign: string, count: number): readonly string[] => [
  base,
  ...Array.from({ length: count }, (_, i) => `${base}${sign}${i + 1}`),
];

export const stopSignals: readonly string[] = [
  ...named.split(" ").map((name) => `SIG${name}`),
  ...from("SIGRTMIN", "+", 15),
  ...from("SIGRTMAX", "-", 14),
].sort();
