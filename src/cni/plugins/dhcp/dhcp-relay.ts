// The way of a DHCP client's datagrams into a container's network namespace: a small Perl program in there, which sends what it
// gets on its input and prints what it receives, each with its length before it. The interface has no address yet, so its socket is
// bound to the interface itself, which Node cannot do.
import { type ChildProcess, spawn } from "node:child_process";
import type { Clock } from "../../../base/clock.ts";
import type { DhcpLink } from "./dhcp-client.ts";

const program = `
use strict; my ($name) = @ARGV; my $s;
socket($s, 2, 2, 17) && setsockopt($s, 1, 2, 1) && setsockopt($s, 1, 6, 1) && setsockopt($s, 1, 25, pack('Z16', $name))
  && bind($s, pack('S n a4 x8', 2, 68, "\\0\\0\\0\\0")) or die "DHCP on $name: $!";
my $to = pack('S n a4 x8', 2, 67, "\\xff\\xff\\xff\\xff");
syswrite(STDOUT, pack('N', 0));
my $in = '';
while (1) {
  my $bits = ''; vec($bits, 0, 1) = 1; vec($bits, fileno $s, 1) = 1;
  select($bits, undef, undef, undef) > 0 or next;
  if (vec($bits, fileno $s, 1)) { my $got; if (defined recv($s, $got, 4096, 0)) { syswrite(STDOUT, pack('N/a*', $got)) or exit } }
  if (vec($bits, 0, 1)) { sysread(STDIN, $in, 65536, length $in) or exit }
  while (length $in >= 4 && length $in >= 4 + unpack('N', $in)) { my $out = unpack('N/a', $in); substr($in, 0, 4 + length $out) = ''; send($s, $out, 0, $to) }
}`;

const maxWaiting = 64;

/** Resolves when the socket is open. Rejects with what Perl says. */
export async function openDhcpRelay(place: { readonly netns: string; readonly ifName: string }, clock: Clock): Promise<DhcpLink> {
  const { netns, ifName } = place;
  const child = spawn("nsenter", [`--net=${netns}`, "perl", "-e", program, ifName], { stdio: ["pipe", "pipe", "pipe"] });
  const relay = new Relay(child, clock);
  await relay.opened;
  return relay;
}

class Relay implements DhcpLink {
  readonly #child: ChildProcess;
  readonly #clock: Clock;
  readonly #received: Buffer[] = [];
  #pending = Buffer.alloc(0);
  #closed = false;
  #wake: () => void = () => undefined;
  readonly opened: Promise<void>;

  constructor(child: ChildProcess, clock: Clock) {
    this.#child = child;
    this.#clock = clock;
    let errors = "";
    child.stderr?.on("data", (chunk: Buffer) => (errors = `${errors}${chunk}`.slice(-2000)));
    child.stdin?.on("error", () => undefined); // told by its end
    this.opened = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", () => {
        this.#closed = true;
        this.#wake();
        reject(new Error(errors.trim() || "the DHCP relay has ended"));
      });
      child.stdout?.on("data", (chunk: Buffer) => {
        resolve();
        this.#take(chunk);
      });
    });
  }

  send(message: Buffer): void {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(message.length);
    this.#child.stdin?.write(Buffer.concat([length, message]));
  }

  async receive(withinMs: number): Promise<Buffer | undefined> {
    if (this.#received.length === 0 && !this.#closed) {
      await new Promise<void>((resolve) => {
        const timer = this.#clock.after(withinMs, resolve);
        this.#wake = () => {
          timer.cancel();
          resolve();
        };
      });
    }
    return this.#received.shift();
  }

  close(): void {
    this.#child.stdin?.end();
    this.#child.kill("SIGKILL");
  }

  #take(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    while (this.#pending.length >= 4) {
      const length = this.#pending.readUInt32BE(0);
      if (this.#pending.length < 4 + length) break;
      // The first one, which is empty, says that the socket is open.
      if (length > 0 && this.#received.length < maxWaiting) this.#received.push(this.#pending.subarray(4, 4 + length));
      this.#pending = this.#pending.subarray(4 + length);
    }
    if (this.#received.length > 0) this.#wake();
  }
}
