/** `--yaml`: the data of --json as YAML 1.2 in block style. */
import type { Json } from "./json-values.ts";

export function yamlText(value: Json): string {
  return `---\n${block(value, 0)}...\n`;
}

function block(value: Json, depth: number): string {
  const indent = "  ".repeat(depth);
  if (isList(value) && value.length > 0) return value.map((item) => `${indent}-${child(item, depth)}`).join("");
  if (isMap(value) && Object.keys(value).length > 0) {
    return Object.entries(value)
      .map(([key, item]) => `${indent}${scalar(key)}:${child(item, depth)}`)
      .join("");
  }
  return `${indent}${flow(value)}\n`;
}

/** What stands after `key:` or `-`: a scalar on the same line, or a block below. */
function child(value: Json, depth: number): string {
  const isBlock = (isList(value) && value.length > 0) || (isMap(value) && Object.keys(value).length > 0);
  return isBlock ? `\n${block(value, depth + 1)}` : ` ${flow(value)}\n`;
}

function flow(value: Json): string {
  if (isList(value)) return "[]";
  if (isMap(value)) return "{}";
  return typeof value === "string" ? scalar(value) : String(value);
}

/** Plain only when no reader can take it for something else. */
function scalar(text: string): string {
  const isPlain = /^[A-Za-z_/][A-Za-z0-9_./+@-]*$/.test(text) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(text);
  return isPlain ? text : JSON.stringify(text);
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
function isMap(value: Json): value is { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
