/** How `berth task` hears which soft limit of open files its program is to have: Bun raises its own when it starts. */
export const FILE_LIMIT_VARIABLE = "BERTH_TASK_NOFILE";
