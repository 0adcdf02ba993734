/** What Slurm's commands say when they fail, as errors of our own: the code where the words are known, and what to do. */
import { BerthError, SLURM_ERRORS, type SlurmErrorCode } from "#job/errors.ts";

const BY_TEXT = (Object.entries(SLURM_ERRORS) as [SlurmErrorCode, readonly [number, string]][])
  .filter(([code]) => code !== "UNSPECIFIED")
  .map(([code, [, text]]) => ({ code, text }))
  .sort((a, b) => b.text.length - a.text.length);

const OTHER_TEXTS: readonly (readonly [pattern: RegExp, code: SlurmErrorCode])[] = [
  [/Unable to contact slurm controller/i, "CONTROLLER_DOWN"],
  [/Invalid job id|job_id .* not found/i, "INVALID_JOB_ID"],
  [/Job has already finished|already completing or completed|job \d+ has expired/i, "ALREADY_DONE"],
  [/Access.*permission denied|Permission denied/i, "ACCESS_DENIED"],
];

/** Trouble with the site itself, and what the user can do about it. */
const SITE_TROUBLE: readonly (readonly [pattern: RegExp, code: string, hint: string])[] = [
  [
    /Munge encode failed|munged|munge\.socket|MUNGE/i,
    "MUNGE_DOWN",
    "munge, which proves to Slurm who you are, does not run on this host: its administrator can start it (systemctl start munge); " +
      "on a private cluster: berth cluster down, then up",
  ],
  [
    /Unable to contact slurm controller|Connection refused|connect failure/i,
    "CONTROLLER_DOWN",
    'the cluster\'s controller does not answer: see "scontrol ping"; it may be restarting, so try again later; ' +
      "to work on this machine alone: BERTH_ENGINE=embedded",
  ],
  [
    /Could not establish a configuration source|slurm\.conf.*No such file|Unable to process configuration file/i,
    "SLURM_CONFIG",
    "this host has no slurm.conf: set SLURM_CONF to the cluster's, or ask on which hosts jobs are submitted",
  ],
  [
    /Protocol version has changed|Incompatible versions|Zero Bytes were transmitted/i,
    "SLURM_VERSION",
    "the commands on this host and the cluster's controller are of versions that do not understand each other: " +
      "use the cluster's own commands (module load slurm)",
  ],
  [/unrecognized option '?(--[\w-]+)/i, "SLURM_TOO_OLD", "this site's Slurm is too old for that option: leave it out"],
];

/** @param said all that the command printed on its error stream, or on both */
export function siteError(command: string, said: string): BerthError {
  const lines = said
    .split("\n")
    .map((line) => line.replace(/^\w+: (?:error|fatal): /, "").trim())
    .filter((line) => line !== "");
  const message = lines.at(-1) ?? `${command} failed and said nothing`;
  const trouble = SITE_TROUBLE.find(([pattern]) => pattern.test(said));
  if (trouble !== undefined)
    return new BerthError(trouble[1], trouble[1] === "CONTROLLER_DOWN" ? SLURM_ERRORS.CONTROLLER_DOWN[1] : message, { hint: trouble[2] });
  const known = BY_TEXT.find(({ text }) => said.includes(text));
  if (known !== undefined)
    return new BerthError(known.code, SLURM_ERRORS[known.code][1], { before: lines.filter((line) => !line.includes(known.text)) });
  const other = OTHER_TEXTS.find(([pattern]) => pattern.test(said));
  return new BerthError(other?.[1] ?? "UNSPECIFIED", message, { before: lines.slice(0, -1) });
}
