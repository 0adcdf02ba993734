import { expect, test } from "bun:test";
import { array, at, batchStep, job, NOW, N1, N2, pending, SHORT, step } from "./fixtures.ts";
import { renderShowConfig, renderShowJobs, renderShowNodes, renderShowPartitions, renderShowSteps } from "./scontrol.ts";

const options = { nowMs: NOW, timeFormat: null, oneLine: false };

// scontrol-01-show-job
const full = job({
  id: 316,
  name: "full",
  priority: 4294901522,
  nice: 5,
  account: "acct",
  timeLimitMinutes: 10,
  memPerNodeMib: 100,
  tasks: 2,
  constraint: "fast",
  licenses: "matlab:1",
  command: "/tmp/berth-oracle/w/job.sh arg1 arg 2",
  comment: "a comment",
  stderr: "/tmp/berth-oracle/w/err.316",
  stdout: "/tmp/berth-oracle/w/out.316",
  gresPerNode: "gpu:1",
  mailUser: "a@b",
  mailTypes: ["END", "FAIL"],
  allocated: { cpus: 2, memMib: null, nodes: 1, gres: {} },
  shares: [{ node: "n1", cpuIds: [0, 1], memMib: 0, gres: { gpu: [0] } }],
});
const FULL = `JobId=316 JobName=full
   UserId=alice(2001) GroupId=alice(2001) MCS_label=N/A
   Priority=4294901522 Nice=5 Account=acct QOS=normal
   JobState=RUNNING Reason=None Dependency=(null)
   Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=0:0
   RunTime=00:00:01 TimeLimit=00:10:00 TimeMin=N/A
   SubmitTime=2026-11-20T22:54:36 EligibleTime=2026-11-20T22:54:36
   AccrueTime=2026-11-20T22:54:36
   StartTime=2026-11-20T22:54:36 EndTime=2026-11-20T23:04:36 Deadline=N/A
   SuspendTime=None SecsPreSuspend=0 LastSchedEval=2026-11-20T22:54:36 Scheduler=Main
   Partition=debug AllocNode:Sid=localhost:10521
   ReqNodeList=(null) ExcNodeList=(null)
   NodeList=n1
   BatchHost=n1
   NumNodes=1 NumCPUs=2 NumTasks=2 CPUs/Task=1 ReqB:S:C:T=0:0:*:*
   TRES=cpu=2,node=1,billing=2
   Socks/Node=* NtasksPerN:B:S:C=0:0:*:* CoreSpec=*
   MinCPUsNode=1 MinMemoryNode=100M MinTmpDiskNode=0
   Features=fast DelayBoot=00:00:00
   OverSubscribe=OK Contiguous=0 Licenses=matlab:1 Network=(null)
   Command=/tmp/berth-oracle/w/job.sh arg1 arg 2
   WorkDir=/tmp/berth-oracle/w
   Comment=a comment 
   StdErr=/tmp/berth-oracle/w/err.316
   StdIn=/dev/null
   StdOut=/tmp/berth-oracle/w/out.316
   Power=
   TresPerNode=gres:gpu:1
   MailUser=a@b MailType=END,FAIL
   
`;
test("show job", () => expect(renderShowJobs([full], options).join("\n")).toBe(FULL));
test("show job -o has the same words on one line and ends in a blank", () => {
  expect(renderShowJobs([full], { ...options, oneLine: true })).toEqual([FULL.replace(/\n {3}\n$/, " ").replaceAll(/\n {3}/g, " ")]);
});
test("show job -d", () => {
  const lines = renderShowJobs([full], { ...options, details: true });
  expect(lines[5]).toBe("   DerivedExitCode=0:0");
  expect(lines.slice(18, 21)).toEqual([
    "   JOB_GRES=gpu:1",
    "     Nodes=n1 CPU_IDs=0-1 Mem=0 GRES=gpu:1(IDX:0)",
    "   MinCPUsNode=1 MinMemoryNode=100M MinTmpDiskNode=0",
  ]);
});
test("show job, pending", () => {
  const lines = renderShowJobs(
    [
      pending({
        id: 317,
        name: "pend",
        dependency: "afterany:316(unfulfilled)",
        nodesMin: 2,
        nodesMax: 2,
        exclusive: true,
        tasks: 2,
        requested: { cpus: 2, memMib: 8000, nodes: 2, gres: {} },
      }),
    ],
    options,
  );
  expect(lines.slice(5, 16)).toEqual([
    "   RunTime=00:00:00 TimeLimit=UNLIMITED TimeMin=N/A",
    "   SubmitTime=2026-11-20T22:54:36 EligibleTime=Unknown",
    "   AccrueTime=Unknown",
    "   StartTime=Unknown EndTime=Unknown Deadline=N/A",
    "   SuspendTime=None SecsPreSuspend=0 LastSchedEval=2026-11-20T22:54:36 Scheduler=Main",
    "   Partition=debug AllocNode:Sid=localhost:10521",
    "   ReqNodeList=(null) ExcNodeList=(null)",
    "   NodeList=",
    "   NumNodes=2-2 NumCPUs=2 NumTasks=2 CPUs/Task=1 ReqB:S:C:T=0:0:*:*",
    "   TRES=cpu=2,mem=8000M,node=2,billing=2",
    "   Socks/Node=* NtasksPerN:B:S:C=0:0:*:* CoreSpec=*",
  ]);
});
test("show job, arrays: the waiting record comes first", () => {
  const tasks = [
    job({ id: 254, name: "arr", array: array(253, { taskId: 1, throttle: 2 }) }),
    pending({ id: 253, name: "arr", array: array(253, { pendingIndices: "2-3", throttle: 2 }) }),
  ];
  expect(renderShowJobs(tasks, options).filter((line) => line.startsWith("JobId"))).toEqual([
    "JobId=253 ArrayJobId=253 ArrayTaskId=2-3%2 ArrayTaskThrottle=2 JobName=arr",
    "JobId=254 ArrayJobId=253 ArrayTaskId=1 ArrayTaskThrottle=2 JobName=arr",
  ]);
});
test("show job, other lines", () => {
  const text = (lines: string[]) => lines.join("\n");
  expect(text(renderShowJobs([job({ container: "/bundle" })], options))).toContain("\n   Container=/bundle ContainerID=(null)\n   \n");
  expect(text(renderShowJobs([job({ kind: "srun" })], options))).not.toContain("StdOut=");
  expect(text(renderShowJobs([job({ memPerCpuMib: 1024 })], options))).toContain("MinMemoryCPU=1G ");
  const held = pending({ stateDescription: "launch failed requeued held" });
  expect(text(renderShowJobs([held], options))).toContain("Reason=launch_failed_requeued_held ");
  const suspended = job({ state: "SUSPENDED", startedAt: at("2026-11-20T22:54:30"), suspendedAt: at("2026-11-20T22:54:31") });
  expect(text(renderShowJobs([suspended], options))).toContain("SuspendTime=2026-11-20T22:54:31 SecsPreSuspend=1 ");
});

// scontrol-02-show-step
const STEPS = `StepId=318.batch UserId=2001 StartTime=2026-11-20T22:54:36 TimeLimit=UNLIMITED
   State=RUNNING Partition=debug NodeList=n1
   Nodes=1 CPUs=0 Tasks=1 Name=batch Network=(null)
   TRES=(null)
   ResvPorts=(null)
   CPUFreqReq=Default
   SrunHost:Pid=(null):0

StepId=318.0 UserId=2001 StartTime=2026-11-20T22:54:36 TimeLimit=UNLIMITED
   State=RUNNING Partition=debug NodeList=n[1-2]
   Nodes=2 CPUs=2 Tasks=2 Name=steppy Network=(null)
   TRES=cpu=2,mem=0,node=2
   ResvPorts=(null)
   CPUFreqReq=Default Dist=Cyclic
   SrunHost:Pid=login:14774
`;
test("show step", () => {
  const steps = [
    batchStep({ id: 318 }),
    step({
      id: 318,
      name: "steppy",
      nodes: ["n1", "n2"],
      cpus: 2,
      tasks: 2,
      srunPid: 14774,
      allocated: { cpus: 2, memMib: 0, nodes: 2, gres: {} },
    }),
  ];
  expect(renderShowSteps(steps, options).join("\n")).toBe(STEPS);
});

// scontrol-03-show-node-partition; we have no Port and print none
const NODE = `NodeName=n1 Arch=x86_64 CoresPerSocket=1 
   CPUAlloc=0 CPUEfctv=2 CPUTot=2 CPULoad=1.31
   AvailableFeatures=fast
   ActiveFeatures=fast
   Gres=gpu:2
   NodeAddr=localhost NodeHostName=localhost Version=22.05.8
   OS=Linux <kernel>
   RealMemory=4000 AllocMem=0 FreeMem=22559 Sockets=2 Boards=1
   State=IDLE ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A
   Partitions=debug,short 
   BootTime=2026-11-20T21:12:06 SlurmdStartTime=2026-11-20T22:36:41
   LastBusyTime=2026-11-20T22:54:41
   CfgTRES=cpu=2,mem=4000M,billing=2
   AllocTRES=
   CapWatts=n/a
   CurrentWatts=0 AveWatts=0
   ExtSensorsJoules=n/s ExtSensorsWatts=0 ExtSensorsTemp=n/s
`;
test("show node", () => {
  expect(renderShowNodes([N1], options).join("\n")).toBe(NODE);
  const drained = renderShowNodes(
    [{ ...N2, state: "DRAIN", allocatedCpus: 2, reason: "bad disk", reasonUser: "root", reasonAt: NOW }],
    options,
  );
  expect(drained[8]).toBe("   State=ALLOCATED+DRAIN ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A");
  expect(drained.at(-2)).toBe("   Reason=bad disk [root@2026-11-20T22:54:37]");
});
const PARTITION = `PartitionName=short
   AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL
   AllocNodes=ALL Default=NO QoS=N/A
   DefaultTime=00:05:00 DisableRootJobs=NO ExclusiveUser=NO GraceTime=0 Hidden=NO
   MaxNodes=UNLIMITED MaxTime=00:10:00 MinNodes=0 LLN=NO MaxCPUsPerNode=UNLIMITED
   Nodes=n1
   PriorityJobFactor=1 PriorityTier=1 RootOnly=NO ReqResv=NO OverSubscribe=NO
   OverTimeLimit=NONE PreemptMode=OFF
   State=UP TotalCPUs=2 TotalNodes=1 SelectTypeParameters=NONE
   JobDefaults=(null)
   DefMemPerNode=UNLIMITED MaxMemPerNode=UNLIMITED
   TRES=cpu=2,mem=4000M,node=1,billing=2
`;
test("show partition", () => {
  expect(renderShowPartitions([SHORT], options).join("\n")).toBe(PARTITION);
  expect(renderShowPartitions([SHORT], { oneLine: true })).toEqual([PARTITION.trimEnd().replaceAll(/\n {3}/g, " ")]);
});
test("show config", () => {
  const lines = renderShowConfig(
    [
      ["AccountingStorageBackupHost", "(null)"],
      ["ClusterName", "oracle"],
    ],
    { nowMs: NOW, timeFormat: null, host: "login", isUp: true },
  );
  expect(lines).toEqual([
    "Configuration data as of 2026-11-20T22:54:37",
    "AccountingStorageBackupHost = (null)",
    "ClusterName             = oracle",
    "",
    "Slurmctld(primary) at login is UP",
  ]);
});
