/**
 * What a key of berth.conf is to us. Ours are read. Slurm's own mean nothing here and are left alone, so that a site's file can be used. One that is a
 * letter off one of ours is an error: a limit that is not there because of a wrong letter is looked for in vain. Any other is a warning only,
 * because a home directory is shared by hosts, and so is this file by versions of Berth: an older one must not leave its jobs alone because a
 * newer one knows more.
 */

/** As slurm.conf(5) writes them. Those of each kind of line are told apart by what they stand beside. */
const OURS = {
  nodename: "NodeName Sockets CoresPerSocket ThreadsPerCore CPUs Procs Gres State RealMemory TmpDisk Weight Features Feature".split(" "),
  partitionname: "PartitionName State MaxNodes MinNodes Default Nodes MaxTime DefaultTime PriorityTier Hidden".split(" "),
  global: (
    "ClusterName KillWait MinJobAge MaxArraySize FirstJobId JobRequeue TaskPlugin TaskProlog TaskEpilog SrunProlog SrunEpilog MpiDefault Licenses " +
    "Engine SlurmRest NodeName PartitionName"
  ).split(" "),
} as const;

/** Of slurm.conf(5) 22.05, and what later versions have added. */
const SLURMS = {
  nodename: (
    "BcastAddr Boards CoreSpecCount CpuBind CpuSpecList MemSpecLimit NodeAddr NodeHostname Port Reason SocketsPerBoard RestrictedCoresPerGPU " +
    "Topology Parameters CertificateToken Extra InstanceId InstanceType"
  ).split(" "),
  partitionname: (
    "AllocNodes AllowAccounts AllowGroups AllowQos Alternate CpuBind DefCpuPerGPU DefMemPerCPU DefMemPerGPU DefMemPerNode DenyAccounts DenyQos " +
    "DisableRootJobs ExclusiveUser ExclusiveTopo GraceTime JobDefaults LLN MaxCPUsPerNode MaxCPUsPerSocket MaxMemPerCPU MaxMemPerNode " +
    "OverSubscribe OverTimeLimit PowerDownOnIdle PreemptMode Priority PriorityJobFactor QOS ReqResv ResumeTimeout RootOnly SelectTypeParameters " +
    "Shared SuspendTime SuspendTimeout Topology TRESBillingWeights"
  ).split(" "),
  // Lines of their own kinds: down nodes, front ends, sets of nodes.
  global: (
    "DownNodes FrontendName FrontendAddr NodeSet Nodes Feature Reason State Port AllowUsers AllowGroups DenyUsers DenyGroups " +
    "AccountingStorageBackupHost AccountingStorageEnforce AccountingStorageExternalHost AccountingStorageHost AccountingStorageLoc " +
    "AccountingStorageParameters AccountingStoragePass AccountingStoragePort AccountingStorageTRES AccountingStorageType AccountingStorageUser " +
    "AccountingStoreFlags AccountingStoreJobComment AcctGatherEnergyType AcctGatherFilesystemType AcctGatherInterconnectType AcctGatherNodeFreq " +
    "AcctGatherProfileType AllowSpecResourcesUsage AuthAltParameters AuthAltTypes AuthInfo AuthType BackupAddr BackupController " +
    "BatchStartTimeout BcastExclude BcastParameters BurstBufferType CertgenParameters CertgenType CertmgrParameters CertmgrType CheckpointType " +
    "CliFilterParameters CliFilterPlugins CommunicationParameters CompleteWait ControlAddr ControlMachine CoreSpecPlugin CpuFreqDef " +
    "CpuFreqGovernors CredType CryptoType DataParserParameters DebugFlags DefCpuPerGPU DefMemPerCPU DefMemPerGPU DefMemPerNode " +
    "DependencyParameters DisableRootJobs EioTimeout EnforcePartLimits Epilog EpilogMsgTime EpilogSlurmctld EpilogTimeout ExtSensorsFreq " +
    "ExtSensorsType FairShareDampeningFactor FastSchedule FederationParameters GetEnvTimeout GpuFreqDef GresTypes GroupUpdateForce " +
    "GroupUpdateTime HashPlugin HealthCheckInterval HealthCheckNodeState HealthCheckProgram HttpParserType InactiveLimit Include " +
    "InteractiveStepOptions JobAcctGatherFrequency JobAcctGatherParams JobAcctGatherType JobCheckpointDir JobCompHost JobCompLoc JobCompParams " +
    "JobCompPass JobCompPassScript JobCompPort JobCompType JobCompUser JobContainerType JobCredentialPrivateKey JobCredentialPublicCertificate " +
    "JobDefaults JobFileAppend JobSubmitPlugins KeepAliveTime KillOnBadExit LaunchParameters LaunchType LogTimeFormat MailDomain MailProg " +
    "MaxBatchRequeue MaxDBDMsgs MaxJobCount MaxJobId MaxMemPerCPU MaxMemPerNode MaxNodeCount MaxStepCount MaxTasksPerNode MCSParameters " +
    "MCSPlugin MemLimitEnforce MessageTimeout MetricsAuthUsers MetricsType MpiParams NamespaceType NodeFeaturesPlugins OverTimeLimit " +
    "PlugStackConfig PluginDir PowerParameters PowerPlugin PreemptExemptTime PreemptMode PreemptParameters PreemptType PrEpParameters " +
    "PrEpPlugins PriorityCalcPeriod PriorityDecayHalfLife PriorityFavorSmall PriorityFlags PriorityMaxAge PriorityParameters " +
    "PrioritySiteFactorParameters PrioritySiteFactorPlugin PriorityType PriorityUsageResetPeriod PriorityWeightAge PriorityWeightAssoc " +
    "PriorityWeightFairshare PriorityWeightJobSize PriorityWeightPartition PriorityWeightQOS PriorityWeightTRES PrivateData ProctrackType " +
    "Prolog PrologEpilogTimeout PrologFlags PrologSlurmctld PrologTimeout PropagatePrioProcess PropagateResourceLimits " +
    "PropagateResourceLimitsExcept RebootProgram ReconfigFlags RequeueExit RequeueExitHold ResumeFailProgram ResumeProgram ResumeRate " +
    "ResumeTimeout ResvEpilog ResvOverRun ResvProlog ReturnToService RoutePlugin SallocDefaultCommand SbcastParameters SchedulerParameters " +
    "SchedulerTimeSlice SchedulerType ScronParameters SelectType SelectTypeParameters SlurmSchedLogFile SlurmSchedLogLevel SlurmUser " +
    "SlurmctldAddr SlurmctldDebug SlurmctldHost SlurmctldLogFile SlurmctldParameters SlurmctldPidFile SlurmctldPlugstack SlurmctldPort " +
    "SlurmctldPrimaryOffProg SlurmctldPrimaryOnProg SlurmctldSyslogDebug SlurmctldTimeout SlurmdDebug SlurmdLogFile SlurmdParameters " +
    "SlurmdPidFile SlurmdPort SlurmdSpoolDir SlurmdSyslogDebug SlurmdTimeout SlurmdUser SrunPortRange StateSaveLocation SuspendExcNodes " +
    "SuspendExcParts SuspendExcStates SuspendProgram SuspendRate SuspendTime SuspendTimeout SwitchParameters SwitchType TaskPluginParam " +
    "TCPTimeout TLSParameters TLSType TmpFS TopologyParam TopologyPlugin TrackWCKey TreeWidth UnkillableStepProgram UnkillableStepTimeout " +
    "UrlParserType UsePAM VSizeFactor WaitTime X11Parameters"
  ).split(" "),
} as const;

export type JudgedKey =
  | { readonly kind: "known" }
  | { readonly kind: "misspelt"; readonly meant: string }
  /** `known`: the keys that there are, in words. */
  | { readonly kind: "unknown"; readonly known: string };

const WORDS = { nodename: "a NodeName line", partitionname: "a PartitionName line", global: "any other line" } as const;

/** @param lineKind the line's first key, in lower case, as `key` is */
export function judgeKey(lineKind: string, key: string): JudgedKey {
  const kind = lineKind === "nodename" || lineKind === "partitionname" ? lineKind : "global";
  const isOf = (names: readonly string[]) => names.some((name) => name.toLowerCase() === key);
  if (isOf(OURS[kind]) || isOf(SLURMS[kind])) return { kind: "known" };
  const meant = OURS[kind].find((name) => isOneOff(key, name.toLowerCase()));
  if (meant !== undefined) return { kind: "misspelt", meant };
  return { kind: "unknown", known: `neither Berth nor Slurm knows it; on ${WORDS[kind]} Berth reads ${OURS[kind].join(", ")}` };
}

/** One letter differs, is missing, is too much, or has changed places with the next. */
function isOneOff(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false;
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  if (a.length !== b.length) return a.length < b.length ? a.slice(at) === b.slice(at + 1) : a.slice(at + 1) === b.slice(at);
  const isSwapped = a[at] === b[at + 1] && a[at + 1] === b[at] && a.slice(at + 2) === b.slice(at + 2);
  return isSwapped || a.slice(at + 1) === b.slice(at + 1);
}
