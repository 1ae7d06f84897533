/** Activities of a migration that read and write what routes its Service. */
import { ApplicationFailure } from '@temporalio/activity';

import { routeRef } from '../workflows/plan/cutover-steps.ts';
import type { AppliedObject, ClusterPort, KubernetesObject } from './ports/cluster-port.ts';
import type { CutoverFacts, CutoverPort, CutoverQuery } from './ports/cutover-port.ts';
import type { MeshPort } from './ports/mesh-port.ts';
import { type CutoverTarget, renderGatewayRoute, renderRoutes, renderSubsets } from './render/cutover-routes.ts';
import { leadsByRoutes, renderGuard } from './render/service-sides.ts';
import { writeInTime, type WrittenObjects } from './timed-write.ts';

export interface CutoverActivityPorts {
  readonly cluster: ClusterPort;
  readonly cutover: CutoverPort;
  readonly mesh: MeshPort;
}

export function cutoverActivities({ cluster, cutover, mesh }: CutoverActivityPorts) {
  async function written(
    isTimed: boolean,
    push: string | null,
    write: () => Promise<readonly AppliedObject[]>,
  ): Promise<WrittenObjects> {
    return isTimed ? await writeInTime(mesh, push, write) : { refs: (await write()).map(({ ref }) => ref) };
  }

  return {
    readCutoverFacts: (query: CutoverQuery): Promise<CutoverFacts> => cutover.readFacts(query),

    /** What a migration would own, at its guard. */
    renderCutover: ({ target }: { target: CutoverTarget }): Promise<readonly KubernetesObject[]> =>
      Promise.resolve(renderGuard(target, 0, '')),

    /** Subsets of the Service: endpoints of machines, and of pods. `push` makes istiod push, whatever else changed. */
    applySubsets: async (input: {
      target: CutoverTarget;
      weight: number;
      push: string;
    }): Promise<readonly AppliedObject[]> =>
      await cluster.apply([renderSubsets(input.target, input.weight, input.push)]),

    /**
     * `weight` percent to pods, at every client that follows the mesh's routes. `areSidesMoved`: its subsets are written with them;
     * default false. `isTimed`: as `writeInTime` does, within a second; default at once. Answers with the objects that lead; on the way
     * back a gateway's route that its owner has taken away is none.
     */
    applyRoutes: async (input: {
      target: CutoverTarget;
      weight: number;
      push: string;
      areSidesMoved?: boolean;
      isTimed?: boolean;
    }): Promise<WrittenObjects> => {
      const { target, weight, push, areSidesMoved = false, isTimed = false } = input;
      const own = [
        ...(areSidesMoved ? [renderSubsets(target, weight, push)] : []),
        ...(leadsByRoutes(target) ? [renderRoutes(target, weight, push)] : []),
      ];
      return await written(isTimed, push, async () => {
        const applied = await allDone([
          ...own.map(async (object) => await cluster.apply([object])),
          editGatewayRoutes(cutover, target, weight, push),
        ]);
        return applied.flat();
      });
    },

    /** The gateways' routes are as they were before the migration, and then its own are gone. `isTimed` as for `applyRoutes`. */
    removeRoutes: async (input: { target: CutoverTarget; isTimed: boolean }): Promise<WrittenObjects> => {
      const { target, isTimed } = input;
      const ref = routeRef(target, 'VirtualService');
      return await written(isTimed, null, async () => {
        for (const route of target.gatewayRoutes) await unlessGone(cutover.editRoute(route, null));
        const removed = await cluster.remove([ref]);
        return [{ ref, result: removed.length > 0 ? 'changed' : 'unchanged' }];
      });
    },
  };
}

/**
 * At the same time: istiod waits a tenth of a second for more, and makes one push of what comes by then. Nothing is under way any more
 * once it ends; of several failures the first one of the list is thrown.
 */
async function allDone<T>(works: readonly Promise<T>[]): Promise<readonly T[]> {
  await Promise.allSettled(works);
  return await Promise.all(works);
}

/** One after the other: several may be of one object. Answers with the objects. */
async function editGatewayRoutes(
  cutover: CutoverPort,
  target: CutoverTarget,
  weight: number,
  push: string,
): Promise<readonly AppliedObject[]> {
  const edited: AppliedObject[] = [];
  for (const route of target.gatewayRoutes) {
    const edit = cutover.editRoute(renderGatewayRoute(route, target, weight), push);
    const isThere = weight === 0 ? await unlessGone(edit) : await edit.then(() => true);
    const { namespace, virtualService: name } = route;
    const ref = { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', namespace, name };
    if (isThere) edited.push({ ref, result: 'changed' });
  }
  return edited;
}

/** A route that its owner has taken away sends nobody anywhere; answers whether it is there. */
async function unlessGone(edit: Promise<void>): Promise<boolean> {
  try {
    await edit;
    return true;
  } catch (error) {
    if (error instanceof ApplicationFailure && error.type === 'RouteMissing') return false;
    throw error;
  }
}
