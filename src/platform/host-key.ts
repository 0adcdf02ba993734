/** Whether two processes mean the same by a process's number: they do on one running kernel, in one pid namespace. */
import { readFileSync, readlinkSync } from "node:fs";

export function hostKey(): string {
  return `${readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()} ${readlinkSync("/proc/self/ns/pid")}`;
}
