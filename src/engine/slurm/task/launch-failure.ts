/**
 * How `berth task` tells an engine, not a user, that its container could not be had: one line on its standard error, with a
 * token that the program in the container never sees, so that no program can pretend it.
 */
export const TOKEN_VARIABLE = "BERTH_TASK_TOKEN";

export interface LaunchFailure {
  readonly node: string;
  readonly message: string;
  readonly hint: string | null;
  readonly errno: number;
}

export function printLaunchFailure(token: string, failure: LaunchFailure): string {
  return `${marker(token)}${JSON.stringify(failure)}`;
}

export function parseLaunchFailure(token: string, line: string): LaunchFailure | undefined {
  return line.startsWith(marker(token)) ? (JSON.parse(line.slice(marker(token).length)) as LaunchFailure) : undefined; // the token proves who wrote it
}

function marker(token: string): string {
  return `berth-launch-failure ${token} `;
}
