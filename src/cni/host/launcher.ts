// The executable of every plugin of ours: a few lines of Perl, which Debian always has and which starts ten times as fast as Node.
// It hands the call to the plugin host of the node and runs the tools it is told to (host-protocol.ts); where no host answers, it
// becomes `coracle cni NAME`, which does the same by itself. Without Perl it is always the latter.

export interface LauncherOptions {
  /** Of the plugin host. */
  readonly socket: string;
  /** The command that runs a plugin alone, but for the plugin's name: ["/usr/bin/node", "/opt/coracle/coracle", "cni"]. */
  readonly alone: readonly string[];
  /** Where perl is; undefined where it is not. */
  readonly perl: string | undefined;
  /** How long the host may take for an answer. Default 110 s. */
  readonly deadlineSeconds?: number;
  /** Default this machine's. */
  readonly arch?: string;
}

/** Numbers of the system call setns, by Node's names of architectures. Where it is unknown, nsenter does it. */
const setns: Readonly<Record<string, number>> = { x64: 308, arm64: 268, riscv64: 268, loong64: 268, ppc64: 350, s390x: 339 };

/** The text of the file. */
export function renderLauncher(options: LauncherOptions): string {
  const { socket, alone, perl, deadlineSeconds = 110, arch = process.arch } = options;
  if (perl === undefined) return `#!/bin/sh\n${about}exec ${alone.map(shellQuote).join(" ")} "\${0##*/}"\n`;
  return `#!${perl}
${about}my ($name) = $0 =~ m{([^/]+)\\z};
my @alone = (${alone.map(perlQuote).join(", ")}, $name);
my ($setns, $child, $out, $err) = (${setns[arch] ?? 0});
sub fault { kill 9, $child if $child; print qq({"code":11,"msg":"$_[0]"}\\n); exit 1 }
if (!$ENV{CNI_COMMAND} || !socket(S, 1, 1, 0) || !connect(S, pack('S a*', 1, ${perlQuote(socket)}))) { exec @alone; exit 127 }
$SIG{PIPE} = 'IGNORE';
$SIG{ALRM} = sub { fault('the node does not answer: try again later') };
alarm ${deadlineSeconds};
local $/;
my $input = $ENV{CNI_COMMAND} eq 'VERSION' && -t STDIN ? '' : <STDIN>;
send_all(pack('N/a* N/a*', join("\\0", $name, readlink('/proc/self/ns/net'), map { "$_=$ENV{$_}" } grep { /^CNI_/ } keys %ENV), $input));
@ENV{qw(PATH LC_ALL)} = ("$ENV{PATH}:/usr/local/sbin:/usr/sbin:/sbin", 'C');
while (1) {
  my ($what, $length) = unpack('a N', receive(5));
  my $body = $length ? receive($length) : '';
  if ($what eq 'R') { send_all(pack('N/a*', run(unpack('N/a N/a', $body), $body))) }
  elsif ($what eq 'L') { send_all(pack('N/a*', set_link(unpack('N/a N/a N/a', $body)))) }
  elsif ($what eq 'A') { $body =~ s/\\A(\\d+)\\n//; print $body; exit $1 }
  else { last }
}
open(my $again, '+>', undef) or fault('no temporary file');
syswrite($again, $input);
sysseek($again, 0, 0);
open(STDIN, '<&', $again);
exec @alone;
exit 127;

sub send_all {
  my ($bytes) = @_;
  while (length $bytes) { my $n = syswrite(S, $bytes); fault('the node ended: try again later') unless $n; substr($bytes, 0, $n) = '' }
}
sub receive {
  my ($wanted, $bytes) = ($_[0], '');
  while (length $bytes < $wanted) {
    sysread(S, $bytes, $wanted - length $bytes, length $bytes) or fault('the node ended before it had answered: try again later');
  }
  return $bytes;
}
sub enter { my $ns; return !$setns || open($ns, '<', $_[0]) && syscall($setns, fileno $ns, 0x40000000) == 0 }
sub run {
  my ($ns, $given, $body) = @_;
  my $lists = substr($body, 8 + length($ns) + length($given));
  my @parts = unpack('N/(N/a) N/(N/a)', $lists);
  my @pairs = splice(@parts, 0, unpack('N', $lists));
  for ($out, $err) { $_ or open($_, '+>', undef) or fault('no temporary file'); truncate($_, 0); sysseek($_, 0, 0) }
  my $in;
  open($in, '+>', undef) or fault('no temporary file');
  syswrite($in, $given);
  sysseek($in, 0, 0);
  defined($child = fork) or fault('no process: try again later');
  if (!$child) {
    open(STDIN, '<&', $in); open(STDOUT, '>&', $out); open(STDERR, '>&', $err);
    if ($ns ne '' && !enter($ns)) { syswrite(STDERR, "$ns: $!"); exec '/bin/false' }
    while (my ($file, $value) = splice(@pairs, 0, 2)) { if (-e "/proc/sys/$file" && open(my $f, '>', "/proc/sys/$file")) { syswrite($f, $value) } }
    @parts = ('nsenter', "--net=$ns", @parts) if $ns ne '' && !$setns;
    exec { $parts[0] } @parts;
    exec('/bin/sh', '-c', $! == 2 ? 'exit 127' : 'exit 126');
  }
  waitpid($child, 0);
  my $code = $? & 127 ? 128 + ($? & 127) : $? >> 8;
  $child = 0;
  sysseek($_, 0, 0) for $out, $err;
  return pack('N N/a* N/a*', $code, slurp($out), slurp($err));
}
sub slurp { my ($all, $file) = ('', $_[0]); while (sysread($file, $all, 65536, length $all)) { } return $all }
sub set_link {
  my ($ns, $link, $way) = @_;
  my $request = pack('a16 s x22', $link, 0);
  my ($home, $s);
  my $ok = open($home, '<', '/proc/self/ns/net') && enter($ns);
  my $why = "$!";
  if ($ok && $setns) {
    my $done = socket($s, 2, 2, 0) && ioctl($s, 0x8913, $request);
    if ($done) { my $flags = unpack('x16 s', $request); $request = pack('a16 s x22', $link, $way eq 'up' ? $flags | 1 : $flags & ~1); $done = ioctl($s, 0x8914, $request) }
    $why = $done ? '' : "$!" eq 'No such device' ? "Cannot find device \\"$link\\"" : "$!";
    syscall($setns, fileno $home, 0x40000000);
    return pack('N N/a* N/a*', $done ? 0 : 1, '', $why);
  }
  return $setns ? pack('N N/a* N/a*', 1, '', "$ns: $why") : run($ns, '', pack('N/a* N/a* N N N/a* N/a* N/a* N/a* N/a* N/a*', $ns, '', 0, 6, 'ip', 'link', 'set', 'dev', $link, $way));
}
`;
}

/**
 * The loopback plugin's own: brings lo up and down by itself, as there is nothing to decide. Anything but a plain ADD or DEL goes to
 * the other launcher, by the name `launcher`.
 */
export function renderLoopbackLauncher({ perl, arch = process.arch }: Pick<LauncherOptions, "perl" | "arch">, launcher: string): string {
  const number = setns[arch];
  if (perl === undefined || number === undefined) return `#!/bin/sh\n${about}exec ${shellQuote(launcher)}\n`;
  return `#!${perl}
${about}my ($command, $name, $ns, $s, $n, $version) = @ENV{qw(CNI_COMMAND CNI_IFNAME CNI_NETNS)};
my $plain = $command =~ /^(?:ADD|DEL)$/ && $name =~ /^[\\w.-]{1,15}$/ && $ns =~ /^[\\w\\/.:-]*$/ && length $ENV{CNI_CONTAINERID} && length $ENV{CNI_PATH};
my $config = '';
if ($plain) { while (sysread(STDIN, $config, 65536, length $config)) { } }
$plain &&= $config =~ /"cniVersion"\\s*:\\s*"((?:0\\.[34]|1\\.[01])\\.\\d)"/ && ($version = $1) && $config !~ /"prevResult"/;
if ($plain && $command eq 'DEL' && !-e $ns) { exit 0 }
if ($plain && open($n, '<', $ns) && (stat $n)[1] != (stat '/proc/self/ns/net')[1] && syscall(${number}, fileno $n, 0x40000000) == 0) {
  my $request = pack('a16 s x22', $name, 0);
  socket($s, 2, 2, 0) && ioctl($s, 0x8913, $request) or fault("$!");
  my $flags = unpack('x16 s', $request);
  ioctl($s, 0x8914, $request = pack('a16 s x22', $name, $command eq 'ADD' ? $flags | 1 : $flags & ~1)) or fault("$!");
  exit 0 if $command eq 'DEL';
  my ($four, $six) = $version lt '1' ? ('"version":"4",', '"version":"6",') : ('', '');
  my $ips = qq({$four"address":"127.0.0.1/8","interface":0}) . (-e '/proc/net/if_inet6' ? qq(,{$six"address":"::1/128","interface":0}) : '');
  print qq({"cniVersion":"$version","interfaces":[{"name":"$name","mac":"00:00:00:00:00:00","sandbox":"$ns"}],"ips":[$ips],"dns":{}}\\n);
  exit 0;
}
open(my $again, '+>', undef) or fault('no temporary file');
syswrite($again, $config);
sysseek($again, 0, 0);
open(STDIN, '<&', $again) if $plain || length $config;
exec { ${perlQuote(launcher)} } 'loopback';
exit 127;
sub fault { print qq({"cniVersion":"$version","code":999,"msg":"$name: $_[0]"}\\n); exit 1 }
`;
}

const about = "# Written by Coracle at every start: changes are lost. Runs a CNI plugin within the node's process.\n";

const perlQuote = (text: string): string => `'${text.replace(/[\\']/g, "\\$&")}'`;
const shellQuote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
