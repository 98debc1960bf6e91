// Which versions of etcd answer a request for the progress of watches truthfully: upstream's rule (3.4.31, 3.5.13 and
// later). Older ones may name a revision whose events are still to come.

export function progressIsReliable(version: string): boolean {
  const [, major, minor, patch] = /^(\d+)\.(\d+)\.(\d+)/.exec(version)?.map(Number) ?? [];
  if (major === undefined || minor === undefined || patch === undefined || major < 3) return false;
  if (major > 3 || minor > 5) return true;
  return (minor === 4 && patch >= 31) || (minor === 5 && patch >= 13);
}
