/** `--json` of squeue, scontrol and sacct, 22.05 to 26.05: the fields that Slurm has for containers, and the bundle's annotations. */
import { parseRequestComment } from "./container-request.ts";
import type { ContainerLookup } from "./show-containers.ts";

type Json = Record<string, unknown>;

/** What cannot be read as JSON comes back as it is. */
export function showInJson(text: string, lookup: ContainerLookup): string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return text; // an error, or nothing at all
  }
  if (!isObject(parsed)) return text;
  const { jobs, steps } = parsed;
  if (Array.isArray(jobs)) for (const job of jobs) if (isObject(job)) showJob(job, lookup);
  if (Array.isArray(steps)) for (const step of steps) if (isObject(step)) showStep(step, undefined, lookup);
  return `${JSON.stringify(parsed, null, 2)}\n`;
}

function showJob(job: Json, lookup: ContainerLookup): void {
  const id = numberOf(job["job_id"]);
  if (id === undefined) return;
  const comment = isObject(job["comment"]) ? job["comment"]["job"] : job["comment"];
  const times = isObject(job["time"]) ? job["time"] : {};
  const since = numberOf(job["submit_time"] ?? times["submission"]) ?? 0;
  const text = typeof comment === "string" ? comment : "";
  const facts = lookup.find({ key: String(id), comment: text, since });
  if (facts !== undefined) {
    job["container"] = facts.container;
    if (facts.id !== null) job["container_id"] = facts.id;
  }
  if (parseRequestComment(text) !== undefined) {
    if (isObject(job["comment"])) job["comment"]["job"] = "";
    else job["comment"] = "";
  }
  const { steps } = job;
  if (Array.isArray(steps)) for (const step of steps) if (isObject(step)) showStep(step, id, lookup);
}

function showStep(step: Json, jobId: number | undefined, lookup: ContainerLookup): void {
  const own = isObject(step["step"]) ? step["step"] : step;
  const id = own["id"];
  const text = isObject(id) ? stepText(id["step_id"]) : stepText(id);
  const key = text.includes(".") ? text : `${(isObject(id) ? numberOf(id["job_id"]) : undefined) ?? jobId}.${text}`;
  const facts = lookup.find({ key: key.replace(/\+/, "").toLowerCase() });
  if (facts === undefined) return;
  step["container"] = facts.container;
  if (facts.id !== null) step["container_id"] = facts.id;
  if (Object.keys(facts.annotations).length > 0) step["container_annotations"] = facts.annotations;
}

/** 22.05 gives numbers for the named steps too. */
function stepText(id: unknown): string {
  const named: Readonly<Record<string, string>> = { "-5": "batch", "4294967291": "batch", "-4": "extern", "-6": "interactive" };
  const text = String(numberOf(id) ?? id ?? "");
  return named[text] ?? text;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Newer versions say `{set, infinite, number}`. */
function numberOf(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  return isObject(value) && typeof value["number"] === "number" ? value["number"] : undefined;
}
