/** What an anchor is before anything else, wherever its container runs. */
import { failFast } from "#platform/fail-fast.ts";
import { becomeSubreaper, leadSession } from "#platform/libc.ts";

export function becomeAnchor(): void {
  failFast((error) => console.error(`scrun: error: ${error instanceof Error ? error.message : String(error)}`));
  leadSession(); // of a launcher's session otherwise, whose terminal interrupts us
  becomeSubreaper(); // the container's first process, and what staging leaves behind, end with us
}
