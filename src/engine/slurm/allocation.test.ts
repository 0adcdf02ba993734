import { expect, test } from "bun:test";
import { spawnPiped } from "#platform/piped-process.ts";
import { rejectionOf } from "../../../test/rejection.ts";
import { SallocProcess } from "./allocation.ts";

test("a salloc that sleeps through the first SIGTERM is withdrawn all the same", async () => {
  const deaf =
    'trap \'n=$((n + 1)); [ "$n" -ge 2 ] && exit 1\' TERM; echo "salloc: Pending job allocation 7" >&2; while :; do sleep 0.05; done';
  const salloc = new SallocProcess(spawnPiped(["/bin/sh", "-c", deaf], { env: {}, cwd: "/" }));
  const withdraw = new AbortController();
  const granted = salloc.granted({ signal: withdraw.signal, onQueued: () => withdraw.abort(new Error("enough")) });
  expect(await rejectionOf(granted)).toMatchObject({ message: "enough" });
  expect(salloc.jobId as number | undefined).toBe(7);
}, 20_000);
