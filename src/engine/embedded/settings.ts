/**
 * The settings that `scontrol show config` of Slurm 22.05 prints, in its order, with what is true of this engine or, where the
 * thing does not exist here, Slurm's default; a name alone is `(null)`, or what config and paths say (cluster-view.ts).
 */
const SETTINGS = `
AccountingStorageBackupHost
AccountingStorageEnforce=none
AccountingStorageHost=localhost
AccountingStorageExternalHost
AccountingStorageParameters
AccountingStoragePort=0
AccountingStorageTRES=cpu,mem,energy,node,billing,fs/disk,vmem,pages
AccountingStorageType=accounting_storage/berth
AccountingStorageUser
AccountingStoreFlags
AcctGatherEnergyType=acct_gather_energy/none
AcctGatherFilesystemType=acct_gather_filesystem/none
AcctGatherInterconnectType=acct_gather_interconnect/none
AcctGatherNodeFreq=0 sec
AcctGatherProfileType=acct_gather_profile/none
AllowSpecResourcesUsage=No
AuthAltTypes
AuthAltParameters
AuthInfo
AuthType=auth/peercred
BatchStartTimeout=10 sec
BcastExclude=/lib,/usr/lib,/lib64,/usr/lib64
BcastParameters
BOOT_TIME
BurstBufferType
CliFilterPlugins
ClusterName
CommunicationParameters
CompleteWait=0 sec
CoreSpecPlugin=core_spec/none
CpuFreqDef=Unknown
CpuFreqGovernors=OnDemand,Performance,UserSpace
CredType=cred/none
DebugFlags
DefMemPerNode=UNLIMITED
DependencyParameters
DisableRootJobs=No
EioTimeout=60
EnforcePartLimits=NO
Epilog
EpilogMsgTime=2000 usec
EpilogSlurmctld
ExtSensorsType=ext_sensors/none
ExtSensorsFreq=0 sec
FederationParameters
FirstJobId
GetEnvTimeout=2 sec
GresTypes
GpuFreqDef
GroupUpdateForce=1
GroupUpdateTime=600 sec
HASH_VAL=Match
HealthCheckInterval=0 sec
HealthCheckNodeState=ANY
HealthCheckProgram
InactiveLimit=0 sec
InteractiveStepOptions=--interactive --preserve-env --pty $SHELL
JobAcctGatherFrequency=30
JobAcctGatherType=jobacct_gather/process_tree
JobAcctGatherParams
JobCompHost=localhost
JobCompLoc
JobCompPort=0
JobCompType=jobcomp/none
JobCompUser
JobContainerType=job_container/none
JobCredentialPrivateKey
JobCredentialPublicCertificate
JobDefaults
JobFileAppend=0
JobRequeue
JobSubmitPlugins
KillOnBadExit=0
KillWait
LaunchParameters=use_interactive_step
LaunchType=launch/berth
Licenses
LogTimeFormat=iso8601_ms
MailDomain
MailProg
MaxArraySize
MaxDBDMsgs=0
MaxJobCount=67043328
MaxJobId=67043328
MaxMemPerNode=UNLIMITED
MaxNodeCount
MaxStepCount=40000
MaxTasksPerNode=65533
MCSPlugin=mcs/none
MCSParameters
MessageTimeout=10 sec
MinJobAge
MpiDefault
MpiParams
MULTIPLE_SLURMD
NEXT_JOB_ID
NodeFeaturesPlugins
OverTimeLimit=0 min
PluginDir
PlugStackConfig
PowerParameters
PowerPlugin=
PreemptMode=OFF
PreemptType=preempt/none
PreemptExemptTime=00:00:00
PrEpParameters
PrEpPlugins=prep/script
PriorityParameters
PrioritySiteFactorParameters
PrioritySiteFactorPlugin
PriorityType=priority/basic
PrivateData=none
ProctrackType=proctrack/subreaper
Prolog
PrologEpilogTimeout=65534
PrologSlurmctld
PrologFlags
PropagatePrioProcess=0
PropagateResourceLimits=ALL
PropagateResourceLimitsExcept
RebootProgram
ReconfigFlags
RequeueExit
RequeueExitHold
ResumeFailProgram
ResumeProgram
ResumeRate=300 nodes/min
ResumeTimeout=60 sec
ResvEpilog
ResvOverRun=0 min
ResvProlog
ReturnToService=2
RoutePlugin=route/default
SchedulerParameters
SchedulerTimeSlice=30 sec
SchedulerType=sched/backfill
ScronParameters
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmUser
SlurmctldAddr
SlurmctldDebug=info
SlurmctldHost[0]
SlurmctldLogFile
SlurmctldPort=0
SlurmctldSyslogDebug
SlurmctldPrimaryOffProg
SlurmctldPrimaryOnProg
SlurmctldTimeout=120 sec
SlurmctldParameters
SlurmdDebug=info
SlurmdLogFile
SlurmdParameters
SlurmdPidFile
SlurmdPort=0
SlurmdSpoolDir
SlurmdSyslogDebug
SlurmdTimeout=300 sec
SlurmdUser
SlurmSchedLogFile
SlurmSchedLogLevel=0
SlurmctldPidFile
SlurmctldPlugstack
SLURM_CONF
SLURM_VERSION
SrunEpilog
SrunPortRange=0-0
SrunProlog
StateSaveLocation
SuspendExcNodes
SuspendExcParts
SuspendProgram
SuspendRate=60 nodes/min
SuspendTime=INFINITE
SuspendTimeout=30 sec
SwitchParameters
SwitchType=switch/none
TaskEpilog
TaskPlugin
TaskPluginParam=(null type)
TaskProlog
TCPTimeout=2 sec
TmpFS=/tmp
TopologyParam
TopologyPlugin=topology/none
TrackWCKey=No
TreeWidth=50
UsePam=No
UnkillableStepProgram
UnkillableStepTimeout=60 sec
VSizeFactor=0 percent
WaitTime=0 sec
X11Parameters
PMIxCliTmpDirBase
PMIxCollFence
PMIxDebug=0
PMIxDirectConn=yes
PMIxDirectConnEarly=no
PMIxDirectConnUCX=no
PMIxDirectSameArch=no
PMIxEnv
PMIxFenceBarrier=no
PMIxNetDevicesUCX
PMIxTimeout=300
PMIxTlsUCX
`;

/** Every setting; `known` replaces what the table says. @throws Error when it has one that the table does not have */
export function allSettings(known: Readonly<Record<string, string>>): [name: string, value: string][] {
  const rest = new Map(Object.entries(known));
  const settings = SETTINGS.trim()
    .split("\n")
    .map((line): [string, string] => {
      const [name = "", value = "(null)"] = line.split(/=(.*)/s);
      const said = rest.get(name) ?? value;
      rest.delete(name);
      return [name, said];
    });
  const [unknown] = rest.keys();
  if (unknown !== undefined) throw new Error(`no setting is called ${unknown}`);
  return settings;
}
