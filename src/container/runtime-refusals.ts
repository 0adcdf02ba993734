/** What to say, and to advise, when no runtime works here. */
import { BerthError } from "#job/errors.ts";
import { badNamespaceSettings } from "./namespace-settings.ts";

/** A runtime that is installed, and what it said. */
export interface Refusal {
  readonly name: string;
  readonly path: string;
  readonly reason: string;
}

/** None is installed, or none works here. */
export function noneWorks(refusals: readonly Refusal[]): BerthError {
  if (refusals.length === 0) {
    return new BerthError("RUNTIME_MISSING", `Cannot run containers: no OCI runtime is installed (looked for crun and runc)`, {
      hint: "install one (Debian and Ubuntu: apt-get install crun runc; Fedora and RHEL: dnf install crun), or name a runtime in oci.conf",
    });
  }
  const reasons = refusals.map((refusal) => `${refusal.path}: ${refusal.reason}`).join(" | ");
  const hints = adviceFor(refusals);
  return new BerthError("RUNTIME_REFUSED", `Cannot run containers: no installed OCI runtime works here (${reasons})`, {
    hint: hints.join("; "),
  });
}

function adviceFor(refusals: readonly Refusal[]): readonly string[] {
  const isRoot = (process.geteuid?.() ?? 0) === 0;
  const hints = (isRoot ? [] : badNamespaceSettings().filter(({ isBan }) => isBan)).map(
    ({ name, good }) => `user namespaces are switched off: the administrator can run "sysctl -w ${name}=${good}"`,
  );
  if (refusals.some((refusal) => refusal.reason.includes("hybrid"))) {
    hints.push(
      refusals.some((refusal) => refusal.name === "runc")
        ? "crun wants a host with cgroup v2 only (kernel parameter systemd.unified_cgroup_hierarchy=1)"
        : "crun wants a host with cgroup v2 only (kernel parameter systemd.unified_cgroup_hierarchy=1): install runc (apt-get install runc), which does not",
    );
  } else if (!refusals.some((refusal) => refusal.name === "runc")) hints.push("install another runtime (apt-get install runc)");
  else if (!refusals.some((refusal) => refusal.name === "crun")) hints.push("install another runtime (apt-get install crun)");
  if (hints.length === 0) hints.push('try it by hand in a directory made with "runc spec --rootless", or name a runtime in oci.conf');
  return hints;
}
