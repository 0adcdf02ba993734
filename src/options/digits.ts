/**
 * A decimal number of 1 to `maxDigits` digits; undefined for anything else, signs and blanks included.
 * Not a regular expression: compiling one costs a short command more than all the rest of its option parsing.
 */
export function parseDigits(text: string, maxDigits: number): number | undefined {
  if (text === "" || text.length > maxDigits) return undefined;
  for (let i = 0; i < text.length; i++) if (!isDigit(text.charCodeAt(i))) return undefined;
  return Number(text);
}

export function isDigit(charCode: number): boolean {
  return charCode >= 48 && charCode <= 57;
}
