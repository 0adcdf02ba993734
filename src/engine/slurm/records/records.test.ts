import { describe, expect, test } from "bun:test";
import { parseJob } from "./job.ts";
import { parseNode, parsePartition, parseStep } from "./others.ts";

// Captured from scontrol -d -o show, 22.05.8; names and comments made nasty.
const JOB =
  "JobId=12 JobName=a JobState=FAKE b UserId=al(1003) GroupId=staff(50) MCS_label=N/A Priority=4294901748 Nice=0 " +
  "Account=(null) QOS=(null) JobState=FAILED " +
  "Reason=NonZeroExitCode Dependency=(null) Requeue=1 Restarts=2 BatchFlag=1 Reboot=0 ExitCode=7:0 " +
  "DerivedExitCode=3:0 RunTime=00:00:01 TimeLimit=1-00:05:00 TimeMin=N/A " +
  "SubmitTime=2026-11-21T00:37:30 EligibleTime=2026-11-21T00:37:30 AccrueTime=2026-11-21T00:37:30 " +
  "StartTime=2026-11-21T00:37:32 EndTime=2026-11-21T00:37:33 Deadline=N/A " +
  "SuspendTime=None SecsPreSuspend=0 LastSchedEval=2026-11-21T00:37:32 Scheduler=Main Partition=debug " +
  "AllocNode:Sid=localhost:18383 ReqNodeList=(null) ExcNodeList=(null) " +
  "NodeList=c[1-2] BatchHost=c1 NumNodes=2 NumCPUs=4 NumTasks=2 CPUs/Task=1 ReqB:S:C:T=0:0:*:* TRES=cpu=4,mem=2G,node=2,billing=4,gres/gpu=1 Socks/Node=* " +
  "NtasksPerN:B:S:C=0:0:*:* CoreSpec=* JOB_GRES=(null)   Nodes=c1 CPU_IDs=0-1 Mem=1024 GRES=   Nodes=c2 " +
  "CPU_IDs=3 Mem=0 GRES= MinCPUsNode=1 MinMemoryNode=0 MinTmpDiskNode=0 " +
  "Features=(null) DelayBoot=00:00:00 OverSubscribe=OK Contiguous=0 Licenses=(null) Network=(null) Command=/x/run me.sh JobState=RUNNING WorkDir=/home/al " +
  'Comment=berth:{"container":"/b c","id":"x"}  StdErr=/home/al/out StdIn=/dev/null StdOut=/home/al/out Power= ';

describe("scontrol's lines", () => {
  test("a job: free text cannot pose as a field", () => {
    expect(parseJob(JOB)).toMatchObject({
      jobId: 12,
      name: "a JobState=FAKE b",
      userName: "al",
      userId: 1003,
      groupId: 50,
      state: "FAILED",
      flags: [],
      reason: "NonZeroExitCode",
      exit: { code: 7, signal: 0 },
      derivedExit: { code: 3, signal: 0 },
      restarts: 2,
      requeue: true,
      timeLimitMinutes: 1445,
      nodes: ["c1", "c2"],
      kind: "batch",
      comment: null,
      container: "/b c",
      containerId: "x",
      workDir: "/home/al",
      stdout: "/home/al/out",
      command: "/x/run me.sh JobState=RUNNING",
      allocated: { cpus: 4, memMib: 2048, nodes: 2, gres: { gpu: 1 } },
      shares: [
        { node: "c1", cpuIds: [0, 1], memMib: 1024 },
        { node: "c2", cpuIds: [3], memMib: 0 },
      ],
    });
  });
  test("a job of 26.05 has an identity between name and user", () => {
    expect(parseJob(JOB.replace(" UserId=", " SLUID=s5HNM7XTMHJ100 UserId="))?.name).toBe("a JobState=FAKE b");
  });
  test("an array's waiting tasks, and one of them", () => {
    const line = (head: string) => JOB.replace("JobId=12 ", head).replace("JobState=FAILED", "JobState=PENDING");
    expect(parseJob(line("JobId=26 ArrayJobId=26 ArrayTaskId=1,3-5%2 "))?.array).toMatchObject({
      jobId: 26,
      taskId: null,
      pendingIndices: "1,3-5",
      throttle: 2,
      count: 4,
    });
    expect(parseJob(line("JobId=27 ArrayJobId=26 ArrayTaskId=1 "))?.array).toMatchObject({ jobId: 26, taskId: 1, pendingIndices: null });
  });
  test("what is no job is none", () => expect(parseJob("No jobs in the system")).toBeUndefined());
  test("a step", () => {
    expect(
      parseStep(
        "StepId=18.0 UserId=1003 StartTime=2026-11-21T00:38:53 TimeLimit=UNLIMITED State=RUNNING Partition=debug " +
          "NodeList=c[1-2] Nodes=2 CPUs=4 Tasks=3 Name=sleep " +
          "Network=(null) TRES=cpu=4,mem=0,node=2 ResvPorts=(null) CPUFreqReq=Default Dist=Cyclic SrunHost:Pid=vm:5003",
      ),
    ).toMatchObject({
      jobId: 18,
      stepKey: 0,
      name: "sleep",
      nodes: ["c1", "c2"],
      tasksPerNode: [2, 1],
      timeLimitMinutes: null,
      srunHost: "vm",
      srunPid: 5003,
    });
  });
  test("a node that is drained", () => {
    expect(
      parseNode(
        "NodeName=c1 Arch=x86_64 CPUAlloc=2 CPUTot=4 CPULoad=3.16 NodeHostName=vm RealMemory=3013 AllocMem=0 FreeMem=21373 " +
          "Sockets=4 State=IDLE+DRAIN* " +
          "Partitions=debug Reason=disk full [root@2026-11-21T00:38:35]",
      ),
    ).toMatchObject({ name: "c1", state: "DRAIN", cpus: 4, allocatedCpus: 2, load: 3.16, reason: "disk full" });
  });
  test("a partition", () => {
    expect(
      parsePartition(
        "PartitionName=debug AllowGroups=ALL Default=YES DefaultTime=NONE Hidden=NO MaxNodes=UNLIMITED MaxTime=1-00:00:00 " +
          "MinNodes=0 Nodes=c[1-4] State=UP TotalCPUs=16 " +
          "TotalNodes=4 TRES=cpu=16,mem=12052M,node=4,billing=16",
      ),
    ).toMatchObject({ name: "debug", isDefault: true, maxTimeMinutes: 1440, maxNodes: null, totalCpus: 16, totalMemMib: 12052 });
  });
});
