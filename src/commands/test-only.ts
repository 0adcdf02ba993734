import { compressHostlist } from "#options/hostlist.ts";
import { timeFormatter } from "#format/times.ts";

/** What --test-only says (commands.md §2.1, §3.4). */
export function testOnlyLine(
  command: string,
  found: {
    readonly jobId: number;
    readonly startAt: number;
    readonly cpus: number;
    readonly nodes: readonly string[];
    readonly partition: string;
  },
): string {
  const time = timeFormatter("standard", Date.now())(found.startAt);
  return `${command}: Job ${found.jobId} to start at ${time} using ${found.cpus} processors on nodes ${compressHostlist(found.nodes)} in partition ${found.partition}`;
}
