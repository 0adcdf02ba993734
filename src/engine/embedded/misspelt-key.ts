/**
 * Keys of berth.conf that look like one of ours and are none. Slurm has hundreds of keys that mean nothing here and are left alone, so that a site's
 * file can be used; but a limit that is not there because of one wrong letter is looked for in vain.
 */

/** As slurm.conf(5) writes them. Those of each kind of line are told apart by what they stand beside. */
const KEYS = {
  nodename: "NodeName Sockets CoresPerSocket ThreadsPerCore CPUs Procs Gres State RealMemory TmpDisk Weight Features Feature".split(" "),
  partitionname: "PartitionName State MaxNodes MinNodes Default Nodes MaxTime DefaultTime PriorityTier".split(" "),
  global: (
    "KillWait MinJobAge MaxArraySize FirstJobId JobRequeue ClusterName TaskPlugin TaskProlog TaskEpilog SrunProlog SrunEpilog MpiDefault Licenses " +
    "NodeName PartitionName Engine SlurmRest"
  ).split(" "),
} as const;

/** The key that was meant: one letter differs, is missing, is too much, or has changed places with the next. */
export function meantKey(kind: string, key: string): string | undefined {
  const known: readonly string[] = kind === "nodename" || kind === "partitionname" ? KEYS[kind] : KEYS.global;
  const typed = key.toLowerCase();
  if (known.some((name) => name.toLowerCase() === typed)) return undefined;
  return known.find((name) => isOneOff(typed, name.toLowerCase()));
}

function isOneOff(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false;
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  if (a.length !== b.length) return a.length < b.length ? a.slice(at) === b.slice(at + 1) : a.slice(at + 1) === b.slice(at);
  const isSwapped = a[at] === b[at + 1] && a[at + 1] === b[at] && a.slice(at + 2) === b.slice(at + 2);
  return isSwapped || a.slice(at + 1) === b.slice(at + 1);
}
