/** The options that only salloc has (commands.md §4.2). */
import type { JobOptionRow } from "./job-option-row.ts";

export const SALLOC_OPTIONS: readonly JobOptionRow[] = [
  { name: "bell", group: "Information", help: "ring the bell when the job starts", env: { salloc: ["SALLOC_BELL"] } },
  {
    name: "kill-command",
    short: "K",
    mayTake: "SIGNAL",
    group: "Job",
    help: "signal the command when the job ends first",
    env: { salloc: ["SALLOC_KILL_CMD"] },
  },
  { name: "no-bell", group: "Information", help: "never ring the bell", env: { salloc: ["SALLOC_NO_BELL"] } },
  { name: "no-shell", group: "Job", help: "return at once and keep the allocation" },
];
