/** TCP ports that nobody listens on at the moment. Somebody may take one before it is used: the caller's daemon says so then. */
export function findFreePorts(count: number): readonly number[] {
  const listeners = Array.from({ length: count }, () => Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } }));
  const ports = listeners.map(({ port }) => port);
  for (const listener of listeners) listener.stop(true);
  return ports;
}
