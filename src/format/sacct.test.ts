import type { AccountedJob } from "#job/record.ts";
import { describe, expect, test } from "bun:test";
import { BerthError } from "#job/errors.ts";
import { accounted, array, at, batchStep, job, NOW, pending, step } from "./fixtures.ts";
import { LONG_SACCT_FORMAT, BRIEF_SACCT_FORMAT, renderSacct, sacctHelpFormat, type SacctView } from "./sacct.ts";
import { renderSstat, sstatHelpFormat } from "./sstat.ts";

const end = at("2026-11-20T22:54:37");
const usage = { userCpuMs: 12, systemCpuMs: 0, maxRssKib: 10724, maxRssTask: 1, maxRssNode: "n1" };
const ended = { state: "COMPLETED", endedAt: end, allocated: { cpus: 2, memMib: null, nodes: 1, gres: {} } } as const;
const base: SacctView = {
  jobs: [],
  format: null,
  allocationsOnly: false,
  noHeader: false,
  parsable: "none",
  delimiter: "|",
  nowMs: NOW,
  timeFormat: null,
  clusterName: "oracle",
};
function show(changes: Partial<SacctView>): string[] {
  return renderSacct({ ...base, ...changes });
}

// sacct-01-default
const one = { cpus: 1, memMib: 0, nodes: 1, gres: {} };
const jobs = [
  accounted(job({ id: 96, kind: "srun", name: "sig", state: "FAILED", exit: { code: 0, signal: 9 } }), [
    step({ id: 96, name: "sig", state: "CANCELLED", exit: { code: 0, signal: 9 } }),
  ]),
  accounted(job({ id: 76, name: "canc", state: "CANCELLED", cancelledBy: 2001, exit: { code: 0, signal: 15 } }), [
    batchStep({ id: 76, state: "CANCELLED", exit: { code: 0, signal: 15 }, allocated: one }),
  ]),
  accounted(job({ id: 95, name: "fails", state: "FAILED", exit: { code: 4, signal: 0 } }), [
    step({ id: 95, name: "bash", state: "FAILED", exit: { code: 3, signal: 0 } }),
    batchStep({ id: 95, state: "FAILED", exit: { code: 4, signal: 0 } }),
  ]),
];
describe("sacct rows", () => {
  test("default", () =>
    expect(show({ jobs })).toEqual([
      "JobID           JobName  Partition    Account  AllocCPUS      State ExitCode ",
      "------------ ---------- ---------- ---------- ---------- ---------- -------- ",
      "76                 canc      debug                     1 CANCELLED+      0:0 ",
      "76.batch          batch                                1  CANCELLED     0:15 ",
      "95                fails      debug                     1     FAILED      4:0 ",
      "95.batch          batch                                1     FAILED      4:0 ",
      "95.0               bash                                1     FAILED      3:0 ",
      "96                  sig      debug                     1     FAILED      0:9 ",
      "96.0                sig                                1  CANCELLED      0:9 ",
    ]));
  test("-X -b -n", () =>
    expect(show({ jobs, allocationsOnly: true, noHeader: true, format: BRIEF_SACCT_FORMAT })).toEqual([
      "76           CANCELLED+      0:0 ",
      "95               FAILED      4:0 ",
      "96               FAILED      0:9 ",
    ]));
  test("-P", () =>
    expect(show({ jobs, noHeader: true, parsable: "separated", format: "JobID,NTasks,State,NodeList" }).slice(0, 2)).toEqual([
      "76||CANCELLED by 2001|n1",
      "76.batch|1|CANCELLED|n1",
    ]));
  test("-p, --delimiter", () =>
    expect(show({ jobs, allocationsOnly: true, parsable: "ended", delimiter: ";", format: "jobid,state" }).slice(0, 2)).toEqual([
      "JobID;State;",
      "76;CANCELLED by 2001;",
    ]));
  test("codes above 128 stay", () =>
    expect(
      show({ jobs: [accounted(job({ exit: { code: 200, signal: 0 } }), [])], noHeader: true, parsable: "separated", format: "exitcode" }),
    ).toEqual(["200:0"]));
  test("arrays", () => {
    const tasks = [3, 1, 2].map((taskId) =>
      accounted(job({ id: taskId === 3 ? 50 : 50 + taskId, array: array(50, { taskId }) }), [batchStep()]),
    );
    expect(show({ jobs: tasks, noHeader: true, parsable: "separated", format: "jobid,jobidraw" })).toEqual([
      "50_1|51",
      "50_1.batch|51.batch",
      "50_2|52",
      "50_2.batch|52.batch",
      "50_3|50",
      "50_3.batch|50.batch",
    ]);
    const waiting = accounted(pending({ id: 50, array: array(50, { pendingIndices: "1-3", throttle: 2 }) }), []);
    expect(
      show({ jobs: [waiting], noHeader: true, parsable: "separated", format: "jobid,state,start,end,elapsed,nodelist,exitcode" }),
    ).toEqual(["50_[1-3%2]|PENDING|Unknown|Unknown|00:00:00|None assigned|0:0"]);
  });
});

// sacct-02-formats
const named = accounted(
  job({
    id: 472,
    name: "fmtlongname",
    ...ended,
    timeLimitMinutes: 10,
    tasks: 2,
    memPerNodeMib: 100,
    comment: "a b",
    priority: 1,
    requested: { cpus: 2, memMib: 100, nodes: 1, gres: {} },
    submitLine: "sbatch -W --wrap srun sleep 1.2",
  }),
  [
    batchStep({ id: 472, state: "COMPLETED", endedAt: end, usage: { ...usage, maxRssTask: 0 } }),
    step({ id: 472, name: "sleep", state: "COMPLETED", endedAt: end, tasks: 2, usage }),
  ],
);
describe("sacct fields", () => {
  const cases: readonly (readonly [format: string, lines: string[]])[] = [
    [
      "jobid,jobname%20,state%-12,exitcode",
      [
        "JobID                     JobName State        ExitCode ",
        "------------ -------------------- ------------ -------- ",
        "472                   fmtlongname COMPLETED         0:0 ",
      ],
    ],
    ["jobname%-5,state%3", ["JobNa Sta ", "----- --- ", "fmtl+ CO+ "]],
  ];
  test.each(cases)("%s", (format, lines) => expect(show({ jobs: [named], allocationsOnly: true, format })).toEqual(lines));
  test("job values", () =>
    expect(
      show({
        jobs: [named],
        allocationsOnly: true,
        parsable: "separated",
        format:
          "Elapsed,ElapsedRaw,CPUTime,CPUTimeRAW,TimeLimit,TimelimitRaw,AllocCPUS,ReqCPUS,ReqMem,AllocTRES,ReqTRES,Partition,QOS,User,UID,Group,GID,Cluster,Account,Priority,WorkDir,SubmitLine,Reason,Flags,Comment,NCPUS,NNodes,Layout",
      }),
    ).toEqual([
      "Elapsed|ElapsedRaw|CPUTime|CPUTimeRAW|Timelimit|TimelimitRaw|AllocCPUS|ReqCPUS|ReqMem|AllocTRES|ReqTRES|Partition|QOS|User|UID|Group|GID|Cluster|Account|Priority|WorkDir|SubmitLine|Reason|Flags|Comment|NCPUS|NNodes|Layout",
      "00:00:01|1|00:00:02|2|00:10:00|10|2|2|100M|billing=2,cpu=2,node=1|billing=2,cpu=2,mem=100M,node=1|debug|normal|alice|2001|alice|2001|oracle||1|/tmp/berth-oracle/w|sbatch -W --wrap srun sleep 1.2|None|SchedMain,StartRecieved|a b|2|1|",
    ]));
  test("what slurmdbd says of energy, frequencies and keys", () => {
    const format = "ReqCPUFreq,ReqCPUFreqGov,AveCPUFreq,ConsumedEnergy,ReqNodes,WCKeyID,DBIndex,Flags,Timelimit,Reason";
    const lines = (job: AccountedJob) => show({ jobs: [job], noHeader: true, parsable: "separated", format });
    expect(lines(named)).toEqual([
      "Unknown|Unknown|||1|0|472|SchedMain,StartRecieved|00:10:00|None",
      "0|0|0|0|1||472|||",
      "Unknown|Unknown|0|0|1||472|||",
    ]);
    const held = {
      ...named,
      state: "PENDING",
      startedAt: null,
      scheduler: null,
      timeLimitMinutes: null,
      reason: "JobHeldUser",
      steps: [],
    } as const;
    expect(lines(held)).toEqual(["Unknown|Unknown|||1|0|472|StartRecieved|Partition_Limit|JobHeldUser"]);
    expect(lines({ ...named, state: "FAILED", reason: "NonZeroExitCode", timeLimitMinutes: null, steps: [] })).toEqual([
      "Unknown|Unknown|||1|0|472|SchedMain,StartRecieved|UNLIMITED|None",
    ]);
    expect(lines({ ...named, earlierRun: "REQUEUED", steps: [] })).toHaveLength(1);
  });
  test("usage", () =>
    expect(
      show({
        jobs: [named],
        noHeader: true,
        parsable: "separated",
        format: "JobID,MaxRSS,MaxVMSize,TotalCPU,UserCPU,SystemCPU,MaxRSSNode,MaxRSSTask,AveCPU",
      }),
    ).toEqual([
      "472|||00:00.024|00:00.024|00:00:00|||",
      "472.batch|10724K||00:00.012|00:00.012|00:00:00|n1|0|00:00:00",
      "472.0|10724K||00:00.012|00:00.012|00:00:00|n1|1|00:00:00",
    ]));
  test("usage of several tasks", () => {
    const used = {
      ...usage,
      aveRssKib: 8000.4,
      vmSize: { max: 20_000, task: 1, node: "n2", average: 15_000 },
      pages: { max: 3, task: 0, node: "n1", average: 1.5 },
    };
    const jobs = [{ ...named, steps: [step({ id: 472, usage: used, tasks: 2 })] }];
    const format = "AveRSS,AveVMSize,MaxVMSize,MaxVMSizeNode,MaxVMSizeTask,AvePages,MaxPages,MaxPagesNode,MaxPagesTask";
    expect(show({ jobs, noHeader: true, parsable: "separated", format })).toEqual(["||||||||", "8000K|15000K|20000K|n2|1|2|3|n1|0"]);
  });
  test("--units", () =>
    expect(
      show({ jobs: [named], noHeader: true, parsable: "separated", sizes: { unit: "M", noConvert: false }, format: "JobID,MaxRSS" })[1],
    ).toBe("472.batch|10.47M"));
  test("an unknown field", () =>
    expect(() => show({ format: "nosuchfield" })).toThrow(new BerthError("INVALID_FIELD", 'Invalid field requested: "nosuchfield"')));
  test("later names and beginnings", () =>
    expect(show({ parsable: "separated", format: "planned,jobidr,sta" })).toEqual(["Planned|JobIDRaw|Start"]));
  test("-l", () => expect(show({ parsable: "separated", format: LONG_SACCT_FORMAT })).toEqual([LONG_HEADER]));
  test("-e", () => expect(sacctHelpFormat().join("\n")).toBe(HELP));
});

describe("sstat", () => {
  const view = {
    steps: [{ step: step({ id: 438, usage }), job: job({ id: 438 }), pids: [7, 8] }],
    nowMs: NOW,
    timeFormat: null,
    noHeader: false,
    parsable: "separated",
    delimiter: "|",
  } as const;
  test("fields", () =>
    expect(renderSstat({ ...view, format: "JobID,NTasks,AveCPU,MaxRSS,Nodelist,Pids" })).toEqual([
      "JobID|NTasks|AveCPU|MaxRSS|Nodelist|Pids",
      "438.0|1|00:00:00|10724K|n1|7,8",
    ]));
  test("default header", () => expect(renderSstat({ ...view, steps: [], parsable: "none", format: null }).join("\n")).toBe(SSTAT_HEADER));
  test("-e", () => expect(sstatHelpFormat().join("\n")).toBe(SSTAT_HELP));
});

const LONG_HEADER =
  "JobID|JobIDRaw|JobName|Partition|MaxVMSize|MaxVMSizeNode|MaxVMSizeTask|AveVMSize|MaxRSS|MaxRSSNode|MaxRSSTask|AveRSS|MaxPages|MaxPagesNode|MaxPagesTask|AvePages|MinCPU|MinCPUNode|MinCPUTask|AveCPU|NTasks|AllocCPUS|Elapsed|State|ExitCode|AveCPUFreq|ReqCPUFreqMin|ReqCPUFreqMax|ReqCPUFreqGov|ReqMem|ConsumedEnergy|MaxDiskRead|MaxDiskReadNode|MaxDiskReadTask|AveDiskRead|MaxDiskWrite|MaxDiskWriteNode|MaxDiskWriteTask|AveDiskWrite|ReqTRES|AllocTRES|TRESUsageInAve|TRESUsageInMax|TRESUsageInMaxNode|TRESUsageInMaxTask|TRESUsageInMin|TRESUsageInMinNode|TRESUsageInMinTask|TRESUsageInTot|TRESUsageOutMax|TRESUsageOutMaxNode|TRESUsageOutMaxTask|TRESUsageOutAve|TRESUsageOutTot";
const HELP = `Account             AdminComment        AllocCPUS           AllocNodes         
AllocTRES           AssocID             AveCPU              AveCPUFreq         
AveDiskRead         AveDiskWrite        AvePages            AveRSS             
AveVMSize           BlockID             Cluster             Comment            
Constraints         ConsumedEnergy      ConsumedEnergyRaw   Container          
CPUTime             CPUTimeRAW          DBIndex             DerivedExitCode    
Elapsed             ElapsedRaw          Eligible            End                
ExitCode            Flags               GID                 Group              
JobID               JobIDRaw            JobName             Layout             
MaxDiskRead         MaxDiskReadNode     MaxDiskReadTask     MaxDiskWrite       
MaxDiskWriteNode    MaxDiskWriteTask    MaxPages            MaxPagesNode       
MaxPagesTask        MaxRSS              MaxRSSNode          MaxRSSTask         
MaxVMSize           MaxVMSizeNode       MaxVMSizeTask       McsLabel           
MinCPU              MinCPUNode          MinCPUTask          NCPUS              
NNodes              NodeList            NTasks              Partition          
Priority            QOS                 QOSRAW              Reason             
ReqCPUFreq          ReqCPUFreqGov       ReqCPUFreqMax       ReqCPUFreqMin      
ReqCPUS             ReqMem              ReqNodes            ReqTRES            
Reservation         ReservationId       Reserved            ResvCPU            
ResvCPURAW          Start               State               Submit             
SubmitLine          Suspended           SystemComment       SystemCPU          
Timelimit           TimelimitRaw        TotalCPU            TRESUsageInAve     
TRESUsageInMax      TRESUsageInMaxNode  TRESUsageInMaxTask  TRESUsageInMin     
TRESUsageInMinNode  TRESUsageInMinTask  TRESUsageInTot      TRESUsageOutAve    
TRESUsageOutMax     TRESUsageOutMaxNode TRESUsageOutMaxTask TRESUsageOutMin    
TRESUsageOutMinNode TRESUsageOutMinTask TRESUsageOutTot     UID                
User                UserCPU             WCKey               WCKeyID            
WorkDir            `;
const SSTAT_HEADER = `JobID         MaxVMSize  MaxVMSizeNode  MaxVMSizeTask  AveVMSize     MaxRSS MaxRSSNode MaxRSSTask     AveRSS MaxPages MaxPagesNode   MaxPagesTask   AvePages     MinCPU MinCPUNode MinCPUTask     AveCPU   NTasks AveCPUFreq ReqCPUFreqMin ReqCPUFreqMax ReqCPUFreqGov ConsumedEnergy  MaxDiskRead MaxDiskReadNode MaxDiskReadTask  AveDiskRead MaxDiskWrite MaxDiskWriteNode MaxDiskWriteTask AveDiskWrite TRESUsageInAve TRESUsageInMax TRESUsageInMaxNode TRESUsageInMaxTask TRESUsageInMin TRESUsageInMinNode TRESUsageInMinTask TRESUsageInTot TRESUsageOutAve TRESUsageOutMax TRESUsageOutMaxNode TRESUsageOutMaxTask TRESUsageOutMin TRESUsageOutMinNode TRESUsageOutMinTask TRESUsageOutTot 
------------ ---------- -------------- -------------- ---------- ---------- ---------- ---------- ---------- -------- ------------ -------------- ---------- ---------- ---------- ---------- ---------- -------- ---------- ------------- ------------- ------------- -------------- ------------ --------------- --------------- ------------ ------------ ---------------- ---------------- ------------ -------------- -------------- ------------------ ------------------ -------------- ------------------ ------------------ -------------- --------------- --------------- ------------------- ------------------- --------------- ------------------- ------------------- --------------- `;
const SSTAT_HELP = `AveCPU              AveCPUFreq          AveDiskRead         AveDiskWrite       
AvePages            AveRSS              AveVMSize           ConsumedEnergy     
ConsumedEnergyRaw   JobID               MaxDiskRead         MaxDiskReadNode    
MaxDiskReadTask     MaxDiskWrite        MaxDiskWriteNode    MaxDiskWriteTask   
MaxPages            MaxPagesNode        MaxPagesTask        MaxRSS             
MaxRSSNode          MaxRSSTask          MaxVMSize           MaxVMSizeNode      
MaxVMSizeTask       MinCPU              MinCPUNode          MinCPUTask         
Nodelist            NTasks              Pids                ReqCPUFreq         
ReqCPUFreqMin       ReqCPUFreqMax       ReqCPUFreqGov       TRESUsageInAve     
TRESUsageInMax      TRESUsageInMaxNode  TRESUsageInMaxTask  TRESUsageInMin     
TRESUsageInMinNode  TRESUsageInMinTask  TRESUsageInTot      TRESUsageOutAve    
TRESUsageOutMax     TRESUsageOutMaxNode TRESUsageOutMaxTask TRESUsageOutMin    
TRESUsageOutMinNode TRESUsageOutMinTask TRESUsageOutTot    `;
