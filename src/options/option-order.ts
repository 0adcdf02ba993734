/**
 * The order of the long options in Slurm 22.05's own tables (test/compat/slurm-22.05-options.txt), which shows in what it says
 * of an ambiguous one; our tables are in an order of their own.
 */
const ORDER: Readonly<Record<string, string>> = {
  srun:
    "accel-bind account acctg-freq bcast bcast-exclude begin bb bbf cluster-constraint chdir cluster clusters comment " +
    "compress container context contiguous constraint core-spec cores-per-socket cpu-bind cpu_bind cpu-freq cpus-per-gpu " +
    "cpus-per-task deadline debugger-test delay-boot dependency disable-status distribution epilog error exact exclude " +
    "exclusive export extra-node-info gid gpu-bind gpu-freq gpus gpus-per-node gpus-per-socket gpus-per-task gres " +
    "gres-flags help het-group hint hold immediate input interactive jobid job-name kill-on-bad-exit label licenses " +
    "mail-type mail-user threads mcs-label mem mem-bind mem-per-cpu mem-per-gpu mincpus mpi msg-timeout multi-prog network " +
    "nice no-allocate no-kill nodefile nodelist nodes ntasks ntasks-per-core ntasks-per-gpu ntasks-per-node " +
    "ntasks-per-socket ntasks-per-tres open-mode output overcommit overlap oversubscribe pack-group partition power prefer " +
    "preserve-env priority profile prolog propagate pty qos quiet quit-on-interrupt reboot relative reservation resv-ports " +
    "send-libs signal slurmd-debug sockets-per-node spread-job switches task-epilog task-prolog tasks-per-node test-only " +
    "thread-spec threads-per-core time time-min tmp uid unbuffered use-min-nodes verbose version usage wait wckey whole x11",
  sbatch:
    "account acctg-freq array batch begin bb bbf cluster-constraint chdir cluster clusters comment container context " +
    "contiguous constraint core-spec cores-per-socket cpu-freq cpus-per-gpu cpus-per-task deadline delay-boot dependency " +
    "distribution error exclude exclusive export export-file extra-node-info get-user-env gid gpu-bind gpu-freq gpus " +
    "gpus-per-node gpus-per-socket gpus-per-task gres gres-flags help hint hold ignore-pbs input job-name " +
    "kill-on-invalid-dep licenses mail-type mail-user mcs-label mem mem-bind mem-per-cpu mem-per-gpu mincpus network nice " +
    "no-kill no-requeue nodefile nodelist nodes ntasks ntasks-per-core ntasks-per-gpu ntasks-per-node ntasks-per-socket " +
    "ntasks-per-tres open-mode output overcommit oversubscribe parsable partition power prefer priority profile propagate " +
    "qos quiet reboot requeue reservation signal sockets-per-node spread-job switches tasks-per-node test-only thread-spec " +
    "threads-per-core time time-min tmp uid use-min-nodes verbose version usage wait wait-all-nodes wckey wrap",
  salloc:
    "account acctg-freq begin bell bb bbf cluster-constraint chdir cluster clusters comment container context contiguous " +
    "constraint core-spec cores-per-socket cpu-freq cpus-per-gpu cpus-per-task deadline delay-boot dependency distribution " +
    "exclude exclusive extra-node-info get-user-env gid gpu-bind gpu-freq gpus gpus-per-node gpus-per-socket gpus-per-task " +
    "gres gres-flags help hint hold immediate job-name kill-command licenses mail-type mail-user mcs-label mem mem-bind " +
    "mem-per-cpu mem-per-gpu mincpus network nice no-bell no-kill no-shell nodefile nodelist nodes ntasks ntasks-per-core " +
    "ntasks-per-gpu ntasks-per-node ntasks-per-socket ntasks-per-tres overcommit oversubscribe partition power prefer " +
    "priority profile qos quiet reboot reservation signal sockets-per-node spread-job switches tasks-per-node thread-spec " +
    "threads-per-core time time-min tmp uid use-min-nodes verbose version usage wait-all-nodes wckey x11",
  scancel:
    "account batch ctld full help hurry interactive cluster clusters jobname me name nodelist partition qos quiet " +
    "reservation sibling signal state usage user verbose version wckey",
  squeue:
    "accounts all array array-unique Format format federation help hide iterate jobs local long licenses cluster clusters " +
    "me name noconvert node nodes nodelist noheader partitions priority qos reservation sib sibling sort start steps states " +
    "usage user users verbose version json yaml",
  sinfo:
    "all dead exact federation help hide iterate local long cluster clusters nodes noconvert noheader Node format Format " +
    "partition responding list-reasons summarize sort states reservation usage verbose version json yaml",
  sacct:
    "allusers accounts allocations brief batch-script completion constraints delimiter duplicates federation helpformat " +
    "help-fields endtime env-vars file flags gid group help local name nnodes ncpus jobs timelimit-min timelimit-max long " +
    "allclusters cluster clusters nodelist noconvert units noheader fields format parsable parsable2 qos partition reason " +
    "state starttime truncate uid use-local-uid usage user verbose version wckeys whole-hetjob associations json yaml",
  scontrol: "all cluster clusters details federation future help hide local oneliner quiet sibling uid usage verbose version",
  sattach: "help label quiet usage verbose version layout debugger-test input-filter output-filter error-filter pty",
  sstat: "allsteps helpformat help jobs noheader fields format noconvert pidformat parsable parsable2 usage verbose version",
  sbcast: "compress exclude fanout force jobid send-libs preserve size timeout verbose version help usage",
  sacctmgr: "help usage immediate noheader oneliner parsable parsable2 quiet readonly associations verbose version",
  sshare:
    "accounts all helpformat long partition cluster clusters noheader format parsable parsable2 users Users verbose version " +
    "help usage",
};

/** The options that begin with what was typed, as getopt_long(3) lists them: all that are not another name of the first one. */
export function possibilities<Row extends object>(command: string, typed: string, rowOf: (name: string) => Row | undefined): string[] {
  const names = (ORDER[command] ?? "").split(" ").filter((name) => name !== "" && name.startsWith(typed) && rowOf(name) !== undefined);
  const [first, ...others] = names;
  return first === undefined ? [] : [first, ...others.filter((name) => rowOf(name) !== rowOf(first))];
}
