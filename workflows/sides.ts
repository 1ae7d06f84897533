/** The two sides of a Service while a migration leads it: what tells them apart beside the routes that name them. */
import type { PushType } from '../activities/ports/mesh-port.ts';
import type { CutoverPlan } from './cutover.ts';
import type { MigrationWaits } from './messages.ts';
import type { ProvenWrites } from './proven-writes.ts';
import { ServiceSides } from './service-sides.ts';
import { SubsetSides } from './subset-sides.ts';

export interface Sides {
  /** Each gets a name, which changes nothing for anybody. */
  name(): Promise<void>;
  /** What has to stand before the routes of that weight are written. */
  before(weight: number): Promise<void>;
  /** Has what changes with the routes of that weight written with them: what istiod pushes for it, nothing where all of it stays. */
  moveWith(weight: number): readonly PushType[];
  /** What follows them, once every client has them. */
  after(weight: number): Promise<void>;
  /** Others have edited some of it: nobody knows how it stands until a weight, or the same again, is written and proven. */
  forget(): void;
  /** As it stands at that weight, once more, before its routes are. */
  rewrite(weight: number): Promise<void>;
  /** Nobody is sent to both sides at once, however they call. */
  holds(): Promise<void>;
  /** Every client has these endpoints of pods before it has a weight of them: none is sent to a side that it does not know yet. */
  haveEndpoints(addresses: readonly string[]): Promise<void>;
  /** Clients are pushed what they have of the Service, however it stands, now that its routes are gone. */
  pushAgain(weight: number, push: string): Promise<void>;
  /** Once no client names them any more. */
  takeAway(): Promise<void>;
  /** Machines serve nobody any more, and are to leave. */
  letMachinesGo(): Promise<void>;
}

export const sidesOf = (
  plan: Pick<CutoverPlan, 'target' | 'isLeftBehind'>,
  writes: ProvenWrites,
  waits: Required<MigrationWaits>,
): Sides =>
  plan.target.selector === undefined ? new SubsetSides(plan, writes, waits) : new ServiceSides(plan, writes, waits);
