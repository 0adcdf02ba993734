/**
 * Text of somebody else (an image's, a bundle's, a runtime's) for a terminal: control characters would be orders to it. Only line ends
 * and tabs stay, the others are shown as what they are.
 */
export function printable(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
