/** `scontrol show job` and `show step`, in lines or with -o: what Slurm prints for its own containers, and the image's digest. */
import { imageDigest, type ContainerFacts } from "../accounting/container-records.ts";
import { isRequestComment } from "./container-request.ts";
import type { ContainerLookup } from "./show-containers.ts";

export function showInScontrol(text: string, lookup: ContainerLookup): string {
  return text
    .split(/^(?=(?:JobId|StepId)=\d)/m)
    .map((record) => showRecord(record, lookup))
    .join("");
}

function showRecord(record: string, lookup: ContainerLookup): string {
  const key = /^(?:JobId|StepId)=(\d+(?:\.\w+)?)/.exec(record)?.[1];
  if (key === undefined) return record;
  const comment = /(?:^ {3}| )Comment=(.*?)(?= *$| {1,2}(?:StdErr|Container|Power|SubmitLine|MailUser)=)/m.exec(record)?.[1] ?? "";
  const since = / (?:SubmitTime|StartTime)=(\S+)/.exec(record)?.[1];
  const facts = lookup.find({ key: key.toLowerCase(), comment, ...(since === undefined ? {} : { since }) });
  if (facts === undefined) return record;
  if (isRequestComment(comment)) return record.replace(`Comment=${comment}`, () => fieldsOf(facts));
  if (/ Container=(?!\(null\)| |$)/m.test(record)) return record; // the site's own
  const end = /\s*$/.exec(record)?.index ?? record.length;
  const head = record.slice(0, end);
  return `${head}${head.includes("\n") ? "\n   " : " "}${fieldsOf(facts)}${record.slice(end)}`;
}

function fieldsOf(facts: ContainerFacts): string {
  const digest = imageDigest(facts);
  return `Container=${facts.container} ContainerID=${facts.id ?? "(null)"}${digest === undefined ? "" : ` ImageDigest=${digest}`}`;
}
