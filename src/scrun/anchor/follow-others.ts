/** A container that joins namespaces of others is made after them (shared-namespaces.ts). */
import { BerthError } from "#job/errors.ts";
import { isAlive } from "#platform/process-tree.ts";
import { ContainerPlace } from "../place.ts";
import { readInit } from "../shared-namespaces.ts";
import type { Conversation } from "./conversation.ts";

const POLL_MS = 20;

/** Over when they are made. Their jobs have been granted before ours (create), so that it is soon. @throws BerthError NAMESPACE_GONE; also when it is withdrawn */
export async function followOthers(
  ids: readonly string[],
  { root, talk }: { readonly root: string; readonly talk: Conversation },
): Promise<void> {
  if (ids.length === 0) return;
  talk.waitFor("container");
  if (talk.status === "creating") talk.created();
  try {
    for (const id of ids) await untilMade(new ContainerPlace(root, id), talk.withdrawn);
  } finally {
    talk.waitFor(undefined);
  }
}

async function untilMade(place: ContainerPlace, withdrawn: AbortSignal): Promise<void> {
  const anchor = place.read()?.anchor;
  for (; readInit(place) === undefined; await Bun.sleep(POLL_MS)) {
    withdrawn.throwIfAborted();
    if (anchor === undefined || !isAlive(anchor)) {
      throw new BerthError("NAMESPACE_GONE", `container ${place.id}, whose namespaces are to be joined, has ended`);
    }
  }
}
