/**
 * A working directory that somebody has deleted. The executable goes to MARK then, before Bun's start-up would give up (scripts/deleted-directory.ts):
 * a place that nobody works in. Commands that need no directory do their work; srun and sbatch fail as Slurm's do.
 */
export const MARK = "/proc/self/ns";

/** Whether it was so; the process is in "/" from now on. */
export function leaveDeletedDirectory(): boolean {
  if (!/^\/proc\/\d+\/ns$/.test(process.cwd())) return false;
  process.chdir("/");
  return true;
}
