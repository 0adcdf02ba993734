/** Why a job waits, in words with what to do; for the reasons that puzzle people. */
export const REASON_WORDS: Readonly<Record<string, string>> = {
  Resources: "it is next; the nodes it asked for are busy",
  Priority: "jobs with a higher priority wait before it",
  Dependency: "it waits for other jobs (scontrol show job tells which)",
  DependencyNeverSatisfied: "a job it depends on has failed: cancel it, or change it with scontrol update Dependency=",
  JobHeldUser: "you hold it: scontrol release lets it go",
  JobHeldAdmin: "an administrator holds it: ask them",
  BeginTime: "its begin time has not come",
  ReqNodeNotAvail: "nodes it asked for are down, drained or reserved: sinfo -R tells why",
  PartitionDown: "the partition is down: sinfo shows it",
  PartitionTimeLimit: "it asks for more time than the partition allows: lower --time",
  PartitionNodeLimit: "it asks for more nodes than the partition allows",
  AssocGrpCpuLimit: "your account's CPUs are all in use",
  QOSMaxJobsPerUserLimit: "you run as many jobs as your QOS allows",
  Licenses: "it waits for licences",
};
