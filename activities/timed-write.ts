/**
 * Writes that their first push proves. istiod tells times in whole seconds, and its push begins no earlier than a tenth of a second
 * after the last change that it heard of [PILOT_DEBOUNCE_AFTER; pilot/pkg/xds/discovery.go, `debounce` and `Push`]. So what is written,
 * and seen at every istiod, shortly before a second ends is pushed in a later second than the one in which it was seen: the proof needs
 * no second push (protocols 2). Where a second ends by the worker's clock is a guess at istiod's: whoever writes looks whether it was right.
 */
import { Context } from '@temporalio/activity';

import { type Sighting, sightingsOf } from '../workflows/plan/drain-proof.ts';
import type { AppliedObject, ObjectRef } from './ports/cluster-port.ts';
import type { HeldLook, MeshPort } from './ports/mesh-port.ts';
import { pushAnnotation } from './render/cutover-routes.ts';

/** Before a second ends: less than istiod waits before it pushes, and enough for a read, a write and a look. */
const BEFORE_END_MS = 80;
const SECOND_MS = 1_000;
/** An istiod that does not answer by then keeps nobody waiting. */
const MET_WITHIN_MS = 1_000;

/** Objects that were written, or removed. */
export interface WrittenObjects {
  readonly refs: readonly ObjectRef[];
  /** Every istiod was seen to hold them before the second had ended; absent: look for it. */
  readonly seen?: readonly Sighting[];
}

/** Milliseconds until a write is in time, 0 up to a second. */
export const untilTimelyMs = (nowMs: number): number => (2 * SECOND_MS - BEFORE_END_MS - ofSecond(nowMs)) % SECOND_MS;

/**
 * Writes shortly before a second ends, and looks once; not where all is known to have stood so before, which nobody pushes. `push` as for
 * {@link readHeldBy}. Where an istiod cannot be read it is written all the same, at once: the wait for what they hold tells of it.
 */
export async function writeInTime(
  mesh: MeshPort,
  push: string | null,
  write: () => Promise<readonly AppliedObject[]>,
  sleep = (ms: number): Promise<void> => Context.current().sleep(ms),
): Promise<WrittenObjects> {
  const within = async <T>(ms: number, work: Promise<T>): Promise<T | undefined> =>
    await Promise.race([work.catch(() => undefined), sleep(ms).then(() => undefined)]);
  const areMet = await within(
    MET_WITHIN_MS,
    mesh.meetIstiods().then(() => true),
  );
  if (areMet === true) await sleep(untilTimelyMs(Date.now()));
  const startedMs = Date.now();
  const written = await write();
  const refs = written.map(({ ref }) => ref);
  // A timer may be late.
  const isTimely = areMet === true && ofSecond(startedMs) >= SECOND_MS - BEFORE_END_MS;
  if (!isTimely || written.every(({ result }) => result === 'unchanged')) return { refs };
  const endsInMs = SECOND_MS - ofSecond(startedMs) - (Date.now() - startedMs);
  if (endsInMs <= 0) return { refs };
  const look = await within(endsInMs, readHeldBy(mesh, { refs, push, since: Date.now() }));
  return { refs, ...(look?.late.length === 0 ? { seen: look.seen } : {}) };
}

const ofSecond = (ms: number): number => ms % SECOND_MS;

/**
 * When each istiod was seen to hold the objects, and those that do not hold them as they were last written, with the mark `push`
 * (`null`: hold any). `since`: by the worker's clock, older answers are none.
 */
export async function readHeldBy(
  mesh: MeshPort,
  { refs, push, since }: { refs: readonly ObjectRef[]; push: string | null; since?: number },
): Promise<{ readonly seen: readonly Sighting[]; readonly late: readonly HeldLook[] }> {
  const looks = (await Promise.all(refs.map(async (ref) => await mesh.readHeld(ref, since)))).flat();
  const late = looks.filter(({ marks }) => (push === null ? marks !== undefined : marks?.[pushAnnotation] !== push));
  return { seen: sightingsOf(looks), late };
}
