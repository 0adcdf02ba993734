/** Settings of the kernel (sysctl(8)) that keep ordinary users from making user namespaces, or weaken what is made. */
import { readFileSync } from "node:fs";

export interface NamespaceSetting {
  readonly name: string;
  readonly bad: string;
  readonly good: string;
  /** With it none can be made at all. */
  readonly isBan: boolean;
}

const SETTINGS: readonly NamespaceSetting[] = [
  { name: "kernel.unprivileged_userns_clone", bad: "0", good: "1", isBan: true },
  { name: "user.max_user_namespaces", bad: "0", good: "15000", isBan: true },
  { name: "kernel.apparmor_restrict_unprivileged_userns", bad: "1", good: "0", isBan: true },
  { name: "kernel.apparmor_restrict_unprivileged_unconfined", bad: "1", good: "0", isBan: false },
];

/** Those that are wrong on this host. */
export function badNamespaceSettings(): readonly NamespaceSetting[] {
  return SETTINGS.filter(({ name, bad }) => {
    try {
      return readFileSync(`/proc/sys/${name.replaceAll(".", "/")}`, "latin1").trim() === bad;
    } catch {
      return false; // not a setting of this kernel
    }
  });
}
