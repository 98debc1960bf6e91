// The executable of every plugin of ours: a few lines of Perl, which Debian always has and which starts ten times as fast as Node.
// It hands the call to the plugin host of the node; where none answers, it becomes `coracle cni NAME`, which does the same by
// itself. Without Perl it is always the latter.

export interface LauncherOptions {
  /** Of the plugin host. */
  readonly socket: string;
  /** The command that runs a plugin alone, but for the plugin's name: ["/usr/bin/node", "/opt/coracle/coracle", "cni"]. */
  readonly alone: readonly string[];
  /** Where perl is; undefined where it is not. */
  readonly perl: string | undefined;
  /** How long the host may take for an answer. Default 110 s. */
  readonly deadlineSeconds?: number;
}

/** The text of the file. */
export function renderLauncher({ socket, alone, perl, deadlineSeconds = 110 }: LauncherOptions): string {
  if (perl === undefined) return `#!/bin/sh\n${about}exec ${alone.map(shellQuote).join(" ")} "\${0##*/}"\n`;
  return `#!${perl}
${about}my ($name) = $0 =~ m{([^/]+)\\z};
my @alone = (${alone.map(perlQuote).join(", ")}, $name);
sub fault { print qq({"code":11,"msg":"$_[0]"}\\n); exit 1 }
if (!$ENV{CNI_COMMAND} || !socket(S, 1, 1, 0) || !connect(S, pack('S a*', 1, ${perlQuote(socket)}))) { exec @alone; exit 127 }
$SIG{PIPE} = 'IGNORE';
$SIG{ALRM} = sub { fault('the node does not answer: try again later') };
alarm ${deadlineSeconds};
local $/;
my $input = $ENV{CNI_COMMAND} eq 'VERSION' && -t STDIN ? '' : <STDIN>;
my $head = join "\\0", $name, readlink('/proc/self/ns/net'), map { "$_=$ENV{$_}" } grep { /^CNI_/ } keys %ENV;
my $message = pack('N', length $head) . $head . $input;
while (length $message) { my $n = syswrite(S, $message); last unless $n; substr($message, 0, $n) = '' }
shutdown(S, 1);
my $answer = <S>;
if ($answer =~ s/\\A(\\d+)\\n//) { print $answer; exit $1 }
fault('the node ended before it had answered: try again later') if $answer ne '-';
open(my $again, '+>', undef) or fault('no temporary file');
syswrite($again, $input);
sysseek($again, 0, 0);
open(STDIN, '<&', $again);
exec @alone;
exit 127;
`;
}

const about = "# Written by Coracle at every start: changes are lost. Runs a CNI plugin within the node's process.\n";

const perlQuote = (text: string): string => `'${text.replace(/[\\']/g, "\\$&")}'`;
const shellQuote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
