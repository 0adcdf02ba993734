/** Whether somebody listens on a unix socket. Says nothing to them. */
export async function isListening(path: string): Promise<boolean> {
  try {
    const socket = await Bun.connect({ unix: path, socket: { data: () => undefined } });
    socket.end();
    return true;
  } catch {
    return false;
  }
}
