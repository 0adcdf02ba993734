/** The end of a switch over a union: a new member that nobody handles fails to compile, and stops the process if it comes anyway. */
export function assertNever(value: never): never {
  throw new Error(`impossible value: ${JSON.stringify(value)}`);
}

/** A state met an event that it can never meet: a bug of ours, so the process stops. */
export function impossible(state: unknown, event: unknown): never {
  throw new Error(`impossible event ${JSON.stringify(event)} in state ${JSON.stringify(state)}`);
}
