/**
 * Text of others on a terminal. Names, comments and paths may hold escape sequences, which would write to the clipboard, set titles or hide lines, and
 * line ends, which would forge rows. Slurm prints them as they are; so do we into files and pipes, where scripts read them.
 */

/** C0 without tab and line feed, DEL, and C1, which terminals obey in UTF-8 too. */
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/;
const EACH_CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

/** Each control character as "?", as ls(1) does it. Text may have several lines. */
export function withoutControls(text: string): string {
  return text.replace(EACH_CONTROL, "?");
}

export function hasControls(text: string): boolean {
  return CONTROLS.test(text);
}
