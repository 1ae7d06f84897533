/**
 * Writes that their first push proves. istiod tells times in whole seconds, and its push begins no earlier than a tenth of a second
 * after the last change that it heard of [PILOT_DEBOUNCE_AFTER; pilot/pkg/xds/discovery.go, `debounce` and `Push`]. So what is written,
 * and seen at every istiod, shortly before a second ends is pushed in a later second than the one in which it was seen: the proof needs
 * no second push (protocols 2). Where a second ends by the worker's clock is a guess at istiod's, which costs nothing but the attempt.
 */
import { Context } from '@temporalio/activity';

import type { SeenDraining } from '../workflows/plan/drain-proof.ts';
import type { AppliedObject, ObjectRef } from './ports/cluster-port.ts';
import type { HeldLook, MeshPort } from './ports/mesh-port.ts';
import { pushAnnotation } from './render/cutover-routes.ts';

/** Later than the debounce before its end, and early enough for a read, a write and a look. */
const BEFORE_END_MS = 90;
const SECOND_MS = 1_000;

/** Objects that were written, or removed. */
export interface WrittenObjects {
  readonly refs: readonly ObjectRef[];
  /** Every istiod was seen to hold them before the second had ended; absent: look for it. */
  readonly seen?: readonly SeenDraining[];
}

/** Milliseconds until a write is in time, 0 up to a second. */
export const untilTimelyMs = (nowMs: number): number =>
  (2 * SECOND_MS - BEFORE_END_MS - (nowMs % SECOND_MS)) % SECOND_MS;

/**
 * Writes shortly before a second ends, and looks once; not where all stood so before, which nobody pushes. `push` as for
 * {@link readHeldBy}. Where an istiod cannot be read it is written all the same, at once: the wait for what they hold tells of it.
 */
export async function writeInTime(
  mesh: MeshPort,
  push: string | null,
  write: () => Promise<readonly AppliedObject[]>,
  sleep = (ms: number): Promise<void> => Context.current().sleep(ms),
): Promise<WrittenObjects> {
  const isReadable = await mesh.meetIstiods().then(
    () => true,
    () => false,
  );
  if (isReadable) await sleep(untilTimelyMs(Date.now()));
  const second = secondOf(Date.now());
  const written = await write();
  const refs = written.map(({ ref }) => ref);
  if (!isReadable || written.every(({ result }) => result === 'unchanged')) return { refs };
  const look = await readHeldBy(mesh, { refs, push, since: Date.now() }).catch(() => undefined);
  const isInTime = look?.late.length === 0 && secondOf(Date.now()) === second;
  return { refs, ...(isInTime ? { seen: look.seen } : {}) };
}

const secondOf = (ms: number): number => Math.floor(ms / SECOND_MS);

/**
 * When each istiod was seen to hold the objects, and those that do not hold them as they were last written, with the mark `push`
 * (`null`: hold any). `since`: by the worker's clock, older answers are none.
 */
export async function readHeldBy(
  mesh: MeshPort,
  { refs, push, since }: { refs: readonly ObjectRef[]; push: string | null; since?: number },
): Promise<{ readonly seen: readonly SeenDraining[]; readonly late: readonly HeldLook[] }> {
  const looks = (await Promise.all(refs.map(async (ref) => await mesh.readHeld(ref, since)))).flat();
  const late = looks.filter(({ marks }) => (push === null ? marks !== undefined : marks?.[pushAnnotation] !== push));
  return { seen: looks.map(({ istiodPod, at }) => ({ istiodPod, at })), late };
}
