/**
 * One slurmrestd. The version of its interface is found by asking: /openapi lists every path that it serves, and the newest
 * version there is used. Two forms are known: to v0.0.38 (Slurm 22.05), and from v0.0.39 on.
 */
import { BerthError, SLURM_ERRORS, type SlurmErrorCode } from "#job/errors.ts";
import type { RestAddress } from "./access.ts";
import { userOfToken } from "./token.ts";
import { listOf, numberOf, objectOf, textOf, type Json } from "./values.ts";

const TIMEOUT_MS = 60_000;
const BY_NUMBER = new Map(
  (Object.entries(SLURM_ERRORS) as [SlurmErrorCode, readonly [number, string]][]).map(([code, [number]]) => [number, code]),
);

export class RestConnection {
  readonly #address: RestAddress;
  readonly #token: string;
  readonly #user: string;
  #version: Promise<number> | undefined;

  constructor(address: RestAddress, token: string) {
    this.#address = address;
    this.#token = token;
    this.#user = userOfToken(token) ?? process.env["USER"] ?? "";
  }

  /** 38 for v0.0.38. */
  version(signal: AbortSignal): Promise<number> {
    this.#version ??= this.#findVersion(signal).catch((error: unknown) => {
      this.#version = undefined;
      throw error;
    });
    return this.#version;
  }

  async #findVersion(signal: AbortSignal): Promise<number> {
    for (const path of ["/openapi/v3", "/openapi.json", "/openapi"]) {
      const { status, text } = await this.#send("GET", path, undefined, signal);
      if (status !== 200) continue;
      const version = newestVersion(text);
      if (version !== undefined) return version;
    }
    throw new BerthError("SLURM_REST", `What answers at ${this.#address.url} serves no version of Slurm's interface that Berth knows`, {
      hint: "it wants a slurmrestd of Slurm 21.08 or later, with its openapi plugin for slurmctld (slurmrestd -s openapi/v0.0.38)",
    });
  }

  /** @param path below /slurm/VERSION @throws BerthError with Slurm's own code where slurmrestd gives its number */
  async ask(
    method: "GET" | "POST" | "DELETE",
    path: string,
    { signal, body }: { readonly signal: AbortSignal; readonly body?: Json },
  ): Promise<Json> {
    const version = await this.version(signal);
    const { status, text } = await this.#send(method, `/slurm/v0.0.${version}${path}`, body, signal);
    let answer: Json;
    try {
      answer = objectOf(JSON.parse(text));
    } catch {
      answer = {};
    }
    const [error] = listOf(answer["errors"]).map(objectOf);
    // Of a held job slurmrestd 22.05 says both: its id, and that it is held.
    const isDone = (numberOf(answer["job_id"]) ?? 0) > 0;
    if (error !== undefined && !isDone) {
      const refusal = this.#refusal(status, error);
      // A token that is refused is told as such by /ping alone (22.05).
      if (refusal.code === "UNSPECIFIED" && path !== "/ping") await this.ask("GET", "/ping", { signal });
      throw refusal;
    }
    if ((status < 200 || status > 299) && !isDone) throw this.#refusal(status, {});
    return answer;
  }

  #refusal(status: number, error: Json): BerthError {
    const number = Number(error["error_number"] ?? error["errno"] ?? 0);
    const words = textOf(error["error"]) ?? textOf(error["description"]) ?? `slurmrestd answered with status ${status}`;
    // A token that slurmctld refuses is told so only in some versions: 22.05 has no configuration then, 26.05 wants "network authentication".
    if (
      status === 401 ||
      status === 511 ||
      /authentication|config is unable to load|slurm_load_ctl_conf/i.test(
        `${words} ${String(error["description"])} ${String(error["source"])}`,
      )
    ) {
      return new BerthError("SLURM_TOKEN", "slurmrestd or the cluster's controller does not accept the token, or the controller is down", {
        hint: 'tokens expire: make a new one with "scontrol token" on a login host and set SLURM_JWT',
      });
    }
    const code = BY_NUMBER.get(number);
    return code === undefined || number <= 0 ? new BerthError("UNSPECIFIED", words) : new BerthError(code, SLURM_ERRORS[code][1]);
  }

  async #send(
    method: string,
    path: string,
    body: Json | undefined,
    signal: AbortSignal,
  ): Promise<{ readonly status: number; readonly text: string }> {
    const { url } = this.#address;
    const unix = url.startsWith("unix:") ? url.slice("unix:".length) : undefined;
    try {
      const response = await fetch(`${unix === undefined ? url : "http://localhost"}${path}`, {
        method,
        headers: {
          "X-SLURM-USER-NAME": this.#user,
          "X-SLURM-USER-TOKEN": this.#token,
          Accept: "application/json",
          ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        },
        redirect: "error", // elsewhere the token would be somebody else's
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(unix === undefined ? {} : { unix }),
      });
      return { status: response.status, text: await response.text() };
    } catch (cause) {
      signal.throwIfAborted();
      throw new BerthError("SLURM_REST_DOWN", `slurmrestd does not answer at ${url}`, {
        hint: "see whether the address is right (BERTH_SLURM_REST) and reachable from here",
        cause,
      });
    }
  }
}

/** From the text of an OpenAPI description; undefined when it has no path of slurmctld's. */
export function newestVersion(text: string): number | undefined {
  const versions = [...text.matchAll(/"\\?\/slurm\\?\/v0\.0\.(\d+)\\?\//g)].map(([, number]) => Number(number));
  return versions.length === 0 ? undefined : Math.max(...versions);
}
