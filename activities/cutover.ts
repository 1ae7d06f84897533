/** Activities of a migration that read and write what routes its Service. */
import { ApplicationFailure } from '@temporalio/activity';

import type { AppliedObject, ClusterPort, KubernetesObject, ObjectRef } from './ports/cluster-port.ts';
import type { CutoverFacts, CutoverPort, CutoverQuery } from './ports/cutover-port.ts';
import { type CutoverTarget, renderGatewayRoute, renderRoutes, renderSubsets } from './render/cutover-routes.ts';
import { leadsByRoutes, renderGuard } from './render/service-sides.ts';

export interface CutoverActivityPorts {
  readonly cluster: ClusterPort;
  readonly cutover: CutoverPort;
}

export function cutoverActivities({ cluster, cutover }: CutoverActivityPorts) {
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
     * default false. Answers with the objects that lead; on the way back a gateway's route that its owner has taken away is none.
     */
    applyRoutes: async (input: {
      target: CutoverTarget;
      weight: number;
      push: string;
      areSidesMoved?: boolean;
    }): Promise<readonly ObjectRef[]> => {
      const { target, weight, push, areSidesMoved = false } = input;
      const own = [
        ...(areSidesMoved ? [renderSubsets(target, weight, push)] : []),
        ...(leadsByRoutes(target) ? [renderRoutes(target, weight, push)] : []),
      ];
      const written = await allDone([
        ...own.map(async (object) => (await cluster.apply([object])).map(({ ref }) => ref)),
        editGatewayRoutes(cutover, target, weight, push),
      ]);
      return written.flat();
    },

    /** The gateways' routes as they were before the migration. */
    restoreGatewayRoutes: async ({ target }: { target: CutoverTarget }): Promise<void> => {
      for (const route of target.gatewayRoutes) await unlessGone(cutover.editRoute(route, null));
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
): Promise<readonly ObjectRef[]> {
  const edited: ObjectRef[] = [];
  for (const route of target.gatewayRoutes) {
    const edit = cutover.editRoute(renderGatewayRoute(route, target, weight), push);
    const isThere = weight === 0 ? await unlessGone(edit) : await edit.then(() => true);
    const { namespace, virtualService: name } = route;
    if (isThere) edited.push({ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', namespace, name });
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
