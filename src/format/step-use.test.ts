import { expect, test } from "bun:test";
import { useColumns } from "./step-use.ts";

const task = (rank: number, node: string, rssKib: number, cpuMs: number) => ({
  rank,
  node,
  pids: [],
  rssKib,
  vmKib: 5512,
  cpuMs,
  majorFaults: 0,
  readBytes: 100 * rank,
  writtenBytes: 7,
});
const tasks = [task(0, "c1", 3000, 61_900), task(1, "c1", 3052, 1000), task(2, "c2", 3144, 2000)];

test("greatest, least and average, and whose they are", () => {
  const {
    MaxRSS,
    MaxRSSNode,
    MaxRSSTask,
    AveRSS,
    MaxDiskReadTask,
    AveDiskRead,
    MinCPU,
    MinCPUTask,
    AveCPU,
    TRESUsageInMin,
    TRESUsageInTot,
    TRESUsageOutMaxNode,
  } = useColumns({ tasks }, { unit: null, noConvert: false });
  expect([MaxRSS, MaxRSSNode, MaxRSSTask, AveRSS]).toEqual(["3144K", "c2", "2", "3065K"]);
  expect([MaxDiskReadTask, AveDiskRead, MinCPU, MinCPUTask, AveCPU]).toEqual(["2", "100", "00:00:01", "1", "00:00:21"]);
  expect(TRESUsageInMin).toBe("cpu=00:00:01,fs/disk=0,mem=3000K,pages=0,vmem=5512K");
  expect(TRESUsageInTot).toBe("cpu=00:01:04,fs/disk=300,mem=9196K,pages=0,vmem=16536K");
  expect(TRESUsageOutMaxNode).toBe("fs/disk=c1");
});

test("bytes with --noconvert, nothing without tasks", () => {
  expect(useColumns({ tasks }, { unit: null, noConvert: true })["MaxVMSize"]).toBe(String(5512 * 1024));
  expect(useColumns({ tasks: [] }, { unit: null, noConvert: false })).toEqual({});
});
