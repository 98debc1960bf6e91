// The program of the tunnel in plain UDP: carries IP packets between a TUN device and a UDP socket, as flannel's back end "udp"
// does, one packet in each datagram and nothing else. In Perl, which every Debian has: Node can do neither the ioctl that makes
// the device nor wait for it. Its device goes with it, and it goes with the node's process, whose end its input shows.
import { isIPv6 } from "node:net";
import { parseCIDR, parseIP } from "../api/meta/ip.ts";

/** Where packets to a range go. */
export interface UdpWay {
  readonly destination: string;
  /** Address of a node. */
  readonly remote: string;
}

/**
 * On its input are tables of ways, each with its length before it and each instead of the last one; for each it prints a byte.
 * Of two ranges the narrower one counts. A packet that comes from elsewhere than where an answer to it would go is dropped: a
 * node speaks for its own pods only.
 */
export const udpProgram = `
use strict; my ($name, $family, $local, $port, $request) = @ARGV; $0 = "coracle: UDP tunnel $name";
my ($tun, $s, $packet); my ($six, $in) = ($family == 6, '');
sub place { $six ? pack('S n N a16 N', 10, $port, 0, $_[0], 0) : pack('S n a4 x8', 2, $port, $_[0]) }
sysopen($tun, '/dev/net/tun', 2 | 2048) && ioctl($tun, $request, my $ask = pack('a16 S x22', $name, 0x1001)) or die "making the device $name: $!\\n";
socket($s, $six ? 10 : 2, 2, 17) && bind($s, place(pack 'H*', $local)) or die "UDP port $port: $!\\n";
for my $buffer (32, 33) { setsockopt($s, 1, $buffer, pack('i', 4194304)) }
my (%ranges, @masks, %place, %cache); my $all = '';
vec($all, fileno $_, 1) = 1 for \\*STDIN, $tun, $s;
sub remote {
  my $found = $cache{$_[0]};
  return $found if defined $found;
  %cache = () if keys %cache > 16384;
  for my $mask (@{$masks[length $_[0]]}) { $found = $ranges{$mask}{$_[0] & $mask} and last }
  $cache{$_[0]} = $found || '';
}
sub ends { my $v = ord($_[0]) >> 4; $v == 4 ? (substr($_[0], 12, 4), substr($_[0], 16, 4)) : $v == 6 ? (substr($_[0], 8, 16), substr($_[0], 24, 16)) : () }
sub learn {
  my ($table) = @_; my %new;
  while (length $table) { (my $bits, my $net, my $to, $table) = unpack('C C/a* C/a* a*', $table); $new{pack "B" . 8 * length $net, '1' x $bits . '0' x (8 * length($net) - $bits)}{$net} = $to }
  %ranges = %new; %cache = (); %place = map { map { $_ => place($_) } values %$_ } values %new;
  @masks = (); for my $mask (sort { $b cmp $a } keys %new) { push @{$masks[length $mask]}, $mask }
}
while (1) {
  select(my $ready = $all, undef, undef, undef) > 0 or next;
  if (vec($ready, fileno $tun, 1)) { for (1 .. 64) {
    if (!defined sysread($tun, $packet, 65536)) { exit 1 unless $! == 11 || $! == 4; last }
    my ($from, $to) = ends($packet) or next;
    my $remote = remote($to);
    send($s, $packet, 64, $place{$remote}) if length $remote;
  } }
  if (vec($ready, fileno $s, 1)) { for (1 .. 64) {
    my $sender = recv($s, $packet, 65536, 64);
    last unless defined $sender;
    my ($from) = ends($packet) or next;
    syswrite($tun, $packet) if remote($from) eq ($six ? substr($sender, 8, 16) : substr($sender, 4, 4));
  } }
  if (vec($ready, 0, 1)) {
    sysread(STDIN, $in, 1048576, length $in) or exit 0;
    while (length $in >= 4 && length $in >= 4 + unpack('N', $in)) { learn(unpack('N/a', $in)); substr($in, 0, 4 + unpack('N', $in)) = ''; syswrite(STDOUT, 'k') }
  }
}`;

/** TUNSETIFF, whose number says which way the data go: other processors count that otherwise. */
const setInterface = (arch: string): number => (/^(ppc|mips)/.test(arch) ? 0x800454ca : 0x400454ca);

/** The arguments of `perl`. */
export function udpProgramArguments(
  { device, local, port }: { readonly device: string; readonly local: string; readonly port: number },
  arch: string = process.arch,
): readonly string[] {
  const bytes = parseIP(local)?.bytes;
  if (!bytes) throw new Error(`${JSON.stringify(local)} is no address`);
  return [
    "-e",
    udpProgram,
    device,
    isIPv6(local) ? "6" : "4",
    Buffer.from(bytes).toString("hex"),
    String(port),
    String(setInterface(arch)),
  ];
}

/** As the program reads them. Each entry: length of the prefix, network and remote with the number of their bytes before them. */
export function udpTable(ways: readonly UdpWay[]): Buffer {
  const entries = ways.flatMap(({ destination, remote }) => {
    const range = parseCIDR(destination);
    const to = parseIP(remote);
    if (!range || !to) return [];
    return [Buffer.from([range.prefixLength, range.network.length, ...range.network, to.bytes.length, ...to.bytes])];
  });
  const table = Buffer.concat(entries);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(table.length);
  return Buffer.concat([length, table]);
}
