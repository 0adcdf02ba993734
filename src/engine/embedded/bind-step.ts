/** CPU binding of a step's tasks: what was asked, on the nodes that it got (srun(1), --cpu-bind). */
import { bindTasks, type BindRequest } from "#job/cpu-binding.ts";
import type { StepFacts } from "#job/environment.ts";
import type { StepPlan } from "#step/plan.ts";
import type { StepRequest } from "../engine.ts";
import type { ClusterConfig } from "./config.ts";
import type { StepLayout } from "./step-layout.ts";

type Refusal = NonNullable<StepPlan["refusal"]>;

/** ESLURMD_CPU_BIND_ERROR; srun exits with its last eight bits. */
const CPU_BIND_ERRNO = 4032;

export function bindStep(
  facts: StepFacts,
  layout: StepLayout,
  { options, resources, kind }: StepRequest,
  config: ClusterConfig,
): { readonly facts: StepFacts; readonly refusal: Refusal | null } {
  if (options.cpuBinding === null && !config.bindsTasks) return { facts, refusal: null };
  const asked = config.bindsTasks ? withHint(options) : options.cpuBinding;
  let refusal: Refusal | null = null;
  const nodes = facts.nodes.map((node, index) => {
    const { cpuIds = [] } = layout.nodes[index] ?? {};
    const described = config.nodes.find(({ name }) => name === node.name);
    if (described === undefined || kind === "interactive") return node;
    const binding = bindTasks(asked, {
      cpuIds: [...cpuIds].sort((a, b) => a - b),
      node: described,
      tasks: node.ranks.length,
      cpusPerTask: resources.cpusPerTask ?? 1,
      isAutomatic: config.bindsTasks,
    });
    if (binding === undefined || !("refused" in binding)) return { ...node, binding };
    refusal = {
      message: "Unable to satisfy cpu bind request",
      errno: CPU_BIND_ERRNO,
      hint: binding.refused,
    };
    return node;
  });
  return { facts: { ...facts, nodes }, refusal };
}

/** --hint binds where tasks are bound without being asked, and only there, as task/affinity does. */
function withHint({ cpuBinding, hintedBinding }: StepRequest["options"]): BindRequest | null {
  if (hintedBinding == null || (cpuBinding !== null && cpuBinding.type !== null)) return cpuBinding;
  return { isVerbose: cpuBinding?.isVerbose ?? false, type: hintedBinding, list: [] };
}
