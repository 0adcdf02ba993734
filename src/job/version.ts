/** Berth's own version; package.json has the same (a test compares them). */
export const VERSION = "0.1.0";
/** What `-V` of Slurm's commands prints, because scripts look at it: the release whose behaviour is followed. */
export const SLURM_VERSION = "22.05.8";
