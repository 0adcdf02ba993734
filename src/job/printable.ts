/**
 * Text of others (an image's, a bundle's, a runtime's, another user's job) for a terminal. It may hold escape sequences, which would write to the
 * clipboard, set titles or hide lines. Slurm prints data as they are; so do we into files and pipes, where scripts read them.
 */

/** C0 without tab and line feed, DEL, and C1, which terminals obey in UTF-8 too. */
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/;
const EACH_CONTROL = new RegExp(CONTROLS, "g");

export function hasControls(text: string): boolean {
  return CONTROLS.test(text);
}

/** Each control character shown as what it is: for messages, which end up on a terminal by many ways. */
export function printable(text: string): string {
  return text.replace(EACH_CONTROL, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** Each control character as "?", as ls(1) does it, so that columns stay where they are. */
export function withoutControls(text: string): string {
  return text.replace(EACH_CONTROL, "?");
}
