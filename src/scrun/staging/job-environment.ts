/** The job environment that staging gets: the job's SLURM_*, and what scrun knows of the container as SCRUN_* (spec: scrun §4). */
import type { OwnStep } from "#engine/own-step.ts";
import { groupName, userName } from "#platform/users.ts";
import type { AnchorPlan } from "../anchor-wire.ts";
import type { ContainerPlace } from "../place.ts";

export function jobEnvironment(
  plan: AnchorPlan,
  step: Pick<OwnStep, "environment" | "job">,
  place: ContainerPlace,
): Record<string, string> {
  const { userId, groupId } = step.job;
  const environment: Record<string, string> = {
    ...step.environment,
    SCRUN_OCI_VERSION: plan.ociVersion,
    SCRUN_CONTAINER_ID: plan.id,
    SCRUN_PID: String(process.pid),
    SCRUN_BUNDLE: plan.bundle,
    SCRUN_SUBMISSION_BUNDLE: plan.bundle,
    SCRUN_PID_FILE: plan.pidFile ?? "",
    SCRUN_SOCKET: place.socket(),
    SCRUN_SPOOL_DIR: place.spool,
    SCRUN_SUBMISSION_CONFIG_FILE: plan.configFile,
    SCRUN_USER: userName(userId),
    SCRUN_USER_ID: String(userId),
    SCRUN_GROUP: groupName(groupId),
    SCRUN_GROUP_ID: String(groupId),
    SCRUN_ROOT: place.root,
    SCRUN_ROOTFS_PATH: plan.rootfs,
    SCRUN_SUBMISSION_ROOTFS_PATH: plan.rootfs,
  };
  if (plan.log !== null) Object.assign(environment, { SCRUN_LOG_FILE: plan.log.file, SCRUN_LOG_FORMAT: plan.log.format });
  for (const [name, value] of Object.entries(plan.annotations)) environment[`SCRUN_ANNOTATION_${name}`] = value;
  return environment;
}
