/** Activities of a migration by `guard: selector`: the Services of its sides, and whose endpoints the Service itself has. */
import { type Sighting, sightingsOf } from '../workflows/plan/drain-proof.ts';
import { failure } from './failures.ts';
import type { ObjectRef } from './ports/cluster-port.ts';
import type { CutoverPort } from './ports/cutover-port.ts';
import type { MeshPort } from './ports/mesh-port.ts';
import type { CutoverTarget } from './render/cutover-routes.ts';
import { refOf } from './render/object-ref.ts';
import { labelsOf, renderSides, type Selected, selectorOf } from './render/service-sides.ts';

interface Sided {
  readonly target: CutoverTarget;
}

export function cutoverSideActivities({ cutover, mesh }: { readonly cutover: CutoverPort; readonly mesh: MeshPort }) {
  return {
    /** Failure type `ObjectExists`: somebody else has one of that name. */
    applySides: async ({ target, push }: Sided & { push: string }): Promise<readonly ObjectRef[]> => {
      const sides = renderSides(target, push);
      for (const side of sides) await cutover.make(side);
      return sides.map(refOf);
    },

    removeSides: async ({ target, refs }: Sided & { refs?: readonly ObjectRef[] }): Promise<void> => {
      for (const ref of refs ?? renderSides(target, '').map(refOf)) await cutover.unmake(ref, target.migration);
    },

    /** Gives the Service the endpoints of these; nothing where it is gone. `push` makes istiod push, whatever else changed. */
    selectSide: async (input: Sided & { selected: Selected; push: string }): Promise<readonly ObjectRef[]> => {
      const { target, selected, push } = input;
      const { migration, namespace, selector: guard } = target;
      const selector = selectorOf(target, selected);
      if (guard === undefined || selector === undefined) return [];
      const { service: name } = guard;
      const isThere = await cutover.selectEndpoints({ namespace, service: name, migration, selector, push });
      return isThere ? [{ apiVersion: 'v1', kind: 'Service', namespace, name }] : [];
    },

    /** The Service as its owner wrote it. */
    restoreSelector: async ({ target }: Sided): Promise<void> => {
      const { migration, namespace, selector: guard } = target;
      if (guard === undefined) return;
      await cutover.restoreSelector({ namespace, service: guard.service, migration });
    },

    /**
     * Throws `EndpointNotGivenOut` until every istiod gives an endpoint of that side to clients of the Service, and `SidesMixed` while
     * one gives another with it that is not to be.
     */
    async verifySelected(
      input: Sided & { side: Exclude<Selected, 'both'>; isAlone: boolean },
    ): Promise<readonly Sighting[]> {
      const { target, side, isAlone } = input;
      const labels = Object.entries(labelsOf(target, side));
      const looks = await mesh.readOffered(target.host);
      for (const { istiodPod, endpoints } of looks) {
        const others = endpoints.filter((one) => labels.some(([key, value]) => one.labels[key] !== value));
        if (others.length === endpoints.length) {
          throw failure(
            'EndpointNotGivenOut',
            `${istiodPod} gives no endpoint of ${side} to clients of ${target.host}; check that one serves, and that nobody else writes the Service's selector`,
          );
        }
        if (!isAlone || others.length === 0) continue;
        throw failure(
          'SidesMixed',
          `${istiodPod} gives ${others.map(({ address }) => address).join(', ')} to clients of ${target.host} beside its ${side}; see the Service's selector and its EndpointSlices`,
        );
      }
      return sightingsOf(looks);
    },
  };
}
