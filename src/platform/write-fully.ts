/** Writing all of something to a descriptor that may be a full pipe, and may have nobody at its other end. */
import { writeSync } from "node:fs";

/** False when nobody reads any more. Waits where the pipe is full. */
export function writeFully(fd: number, data: Uint8Array): boolean {
  let bytes = data;
  while (bytes.byteLength > 0) {
    try {
      bytes = bytes.subarray(writeSync(fd, bytes));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EAGAIN") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      else if (code === "EPIPE" || code === "EIO") return false;
      else if (code !== "EINTR") throw error;
    }
  }
  return true;
}
