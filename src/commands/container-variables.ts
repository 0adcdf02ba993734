/** SLURM_CONTAINER and SLURM_CONTAINER_ID for what a command starts, unless an outer command has set them (oci-conf §1.3). */
export function containerVariables(line: {
  readonly job: { readonly container: string | null; readonly containerId: string | null };
}): Record<string, string> {
  const variables: Record<string, string> = {};
  const { container, containerId } = line.job;
  if (container !== null && process.env["SLURM_CONTAINER"] === undefined) variables["SLURM_CONTAINER"] = container;
  if (containerId !== null && process.env["SLURM_CONTAINER_ID"] === undefined) variables["SLURM_CONTAINER_ID"] = containerId;
  return variables;
}
