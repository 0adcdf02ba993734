/**
 * A controller that nobody can come back to: its database has been deleted, and its socket too (`rm -rf` of a home directory, a test's directory). No
 * command finds it, the next one starts another; without an end it would stay for ever. With one of the two left it stays: the socket brings commands
 * to it, the database its successor, who asks it to make way (controller-place.ts).
 */
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { inodeOf } from "#platform/lasting-listener.ts";

/** Two calls of the kernel each time. */
const LOOK_MS = 10_000;
/** open(2), not among node's constants. */
const O_PATH = 0o10000000;

/**
 * `onLost` is called once, when the place is lost and nobody needs the controller: what runs, and who waits for an answer, is served to its end.
 */
export function watchPlace(place: {
  readonly database: string;
  readonly socket: string;
  readonly isNeeded: () => boolean;
  readonly onLost: () => void;
  readonly everyMs?: number;
}): Disposable {
  // Not opened, only held: to close an open one would end SQLite's locks on it (fcntl(2)). Its links are counted, since a path that leads nowhere
  // may be a file system that is away for a moment.
  const held = openSync(place.database, O_PATH | constants.O_NOFOLLOW);
  const socketInode = inodeOf(place.socket);
  const timer = setInterval(() => {
    const isDeleted = fstatSync(held).nlink === 0;
    if (!isDeleted || inodeOf(place.socket) === socketInode || place.isNeeded()) return;
    clearInterval(timer);
    place.onLost();
  }, place.everyMs ?? LOOK_MS);
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer);
      closeSync(held);
    },
  };
}
