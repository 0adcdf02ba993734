/** An operating error on its way from the controller to a command. */
import { BerthError } from "#job/errors.ts";
import type { WireError } from "./wire.ts";

export function toWire({ code, message, hint, before }: BerthError): WireError {
  return { code, message, hint: hint ?? null, before };
}

export function fromWire({ code, message, hint, before }: WireError): BerthError {
  return new BerthError(code, message, { before, ...(hint === null ? {} : { hint }) });
}
