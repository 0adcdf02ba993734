/** CACHE/box-TOKEN on a node: config.json and the small files of one container of podman or docker, secrets among them. It goes with the container. */
import { rmSync } from "node:fs";

/** Never fails. Of a bundle that is no box nothing is removed. */
export function removeBox(bundle: string): void {
  if (!/\/box-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(bundle)) return;
  try {
    rmSync(bundle, { recursive: true, force: true });
  } catch {
    // The next box that is unpacked there sweeps old ones.
  }
}

export function boxOf(bundle: string): Disposable {
  return { [Symbol.dispose]: () => removeBox(bundle) };
}
