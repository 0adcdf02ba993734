/** Whether this process may start a controller when there is none. Apart from start-controller.ts, which commands load only then. */
let mayStart = true;

/** This process leaves it to others: what a container's anchor starts is in the container's namespaces, and ends with it. */
export function leaveControllerToOthers(): void {
  mayStart = false;
}

export function mayStartController(): boolean {
  return mayStart;
}
