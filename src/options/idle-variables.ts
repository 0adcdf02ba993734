/** Environment variables of Slurm's manuals that change nothing on the embedded engine, and why; for docs/compatibility.md. */

export interface IdleVariables {
  readonly names: readonly string[];
  readonly why: string;
}

function idle(names: string, why: string): IdleVariables {
  return { names: names.split(" "), why };
}

export const IDLE_VARIABLES: readonly IdleVariables[] = [
  idle(
    "SACCT_FEDERATION SACCT_LOCAL SCONTROL_FEDERATION SCONTROL_LOCAL SCONTROL_SIBLING SINFO_FEDERATION SINFO_LOCAL SQUEUE_FEDERATION " +
      "SQUEUE_LOCAL SQUEUE_SIBLING",
    "there is no federation",
  ),
  idle("SCONTROL_FUTURE", "every node exists"),
  idle("SBCAST_COMPRESS SBCAST_FANOUT SBCAST_SIZE SBCAST_TIMEOUT", "nothing is sent over a network"),
  idle("SALLOC_WAIT4SWITCH SBATCH_WAIT4SWITCH SLURM_WAIT4SWITCH", "there are no switches between nodes of one machine"),
  idle("PMI_FANOUT PMI_FANOUT_OFF_HOST PMI_TIME SLURM_PMI_KVS_NO_DUP_KEYS", "all ranks talk to one server on this machine"),
  idle("SLURM_DEBUG_FLAGS SLURMD_DEBUG", "berth daemon logs has what there is to know"),
  idle("SLURM_CONF", "settings are in berth.conf (BERTH_CONF names another one); jobs have it set to that file"),
  idle("SLURM_CONF_OUT", "scontrol writes no configuration"),
  idle("SLURM_TOPO_LEN", "there is no topology to show"),
  idle("SLURM_SRUN_REDUCE_TASK_EXIT_MSG", "tasks that ended alike are one message anyway"),
  idle("SLURM_STEP_GRES", "ask with --gres"),
  idle("SLURM_STEP_KILLED_MSG_NODE_ID", "all nodes are this machine, and one message is printed"),
  idle("SLURM_TEST_EXEC", "all nodes are this machine: a program that is missing is told at once"),
];
