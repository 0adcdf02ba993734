import type { Engine } from "../engine.ts";
export const SlurmEngine: new () => Engine = undefined as never;
