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
export const udpProgram = String.raw`
use strict;
use Errno qw(EAGAIN EINTR);
use Fcntl qw(O_NONBLOCK O_RDWR);
use Socket qw(:DEFAULT AF_INET6 MSG_DONTWAIT pack_sockaddr_in6 unpack_sockaddr_in6);
use constant { IFF_TUN => 0x0001, IFF_NO_PI => 0x1000, SO_SNDBUFFORCE => 32, SO_RCVBUFFORCE => 33 };
use constant { BUFFER_BYTES => 4 << 20, MAX_PACKET => 65536, PACKETS_AT_A_TIME => 64, MAX_CACHED => 16384 };

my ($name, $family, $local, $port, $set_interface) = @ARGV;
my $is_six = $family == 6;
$0 = "coracle: UDP tunnel $name";

sub socket_address { $is_six ? pack_sockaddr_in6($port, $_[0]) : pack_sockaddr_in($port, $_[0]) }
sub sender_of { ($is_six ? unpack_sockaddr_in6($_[0]) : unpack_sockaddr_in($_[0]))[1] }

my ($tun, $socket);
sysopen($tun, '/dev/net/tun', O_RDWR | O_NONBLOCK)
  && ioctl($tun, $set_interface, my $request = pack('a16 S x22', $name, IFF_TUN | IFF_NO_PI))
  or die "making the device $name: $!\n";
socket($socket, $is_six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0) && bind($socket, socket_address(pack('H*', $local)))
  or die "UDP port $port: $!\n";
setsockopt($socket, SOL_SOCKET, $_, BUFFER_BYTES) for SO_SNDBUFFORCE, SO_RCVBUFFORCE;

# Of the table: network mask -> network -> remote; the masks by the length of their addresses, the narrowest first.
my (%remotes, @masks);
my (%socket_addresses, %cache);

sub learn {
  my ($table) = @_;
  my %new;
  while (length $table) {
    (my $prefix_length, my $network, my $remote, $table) = unpack('C C/a* C/a* a*', $table);
    my $bits = 8 * length $network;
    my $mask = pack("B$bits", '1' x $prefix_length . '0' x ($bits - $prefix_length));
    $new{$mask}{$network} = $remote;
  }
  %remotes = %new;
  %cache = @masks = ();
  push @{$masks[length $_]}, $_ for sort { $b cmp $a } keys %new;
  %socket_addresses = map { $_ => socket_address($_) } map { values %$_ } values %new;
}

# Where packets to an address go, empty for nowhere.
sub remote_for {
  my ($address) = @_;
  return $cache{$address} if defined $cache{$address};
  %cache = () if keys %cache >= MAX_CACHED;
  for my $mask (@{$masks[length $address]}) {
    my $remote = $remotes{$mask}{$address & $mask};
    return $cache{$address} = $remote if defined $remote;
  }
  return $cache{$address} = '';
}

# Source and destination of an IP packet.
sub ends_of {
  my $version = ord($_[0]) >> 4;
  return (substr($_[0], 12, 4), substr($_[0], 16, 4)) if $version == 4;
  return (substr($_[0], 8, 16), substr($_[0], 24, 16)) if $version == 6;
  return;
}

sub from_device {
  my $packet;
  for (1 .. PACKETS_AT_A_TIME) {
    if (!defined sysread($tun, $packet, MAX_PACKET)) {
      return if $! == EAGAIN || $! == EINTR;
      die "reading from $name: $!\n";
    }
    my (undef, $to) = ends_of($packet) or next;
    my $remote = remote_for($to);
    send($socket, $packet, MSG_DONTWAIT, $socket_addresses{$remote}) if length $remote;
  }
}

sub from_socket {
  my $packet;
  for (1 .. PACKETS_AT_A_TIME) {
    my $sender = recv($socket, $packet, MAX_PACKET, MSG_DONTWAIT);
    return unless defined $sender;
    my ($from) = ends_of($packet) or next;
    syswrite($tun, $packet) if remote_for($from) eq sender_of($sender);
  }
}

my $input = '';
sub from_input {
  sysread(STDIN, $input, 1 << 20, length $input) or exit 0;
  while (length $input >= 4 && length $input >= 4 + unpack('N', $input)) {
    learn(unpack('N/a', $input));
    substr($input, 0, 4 + unpack('N', $input)) = '';
    syswrite(STDOUT, 'k');
  }
}

my $watched = '';
vec($watched, fileno $_, 1) = 1 for \*STDIN, $tun, $socket;
while (1) {
  select(my $ready = $watched, undef, undef, undef) > 0 or next;
  from_device() if vec($ready, fileno $tun, 1);
  from_socket() if vec($ready, fileno $socket, 1);
  from_input() if vec($ready, fileno STDIN, 1);
}
`;

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
