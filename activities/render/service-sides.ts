/**
 * The sides of a migration by `guard: selector`. The Service itself has the endpoints of one side at a time: its selector says which, to
 * every caller, also to those that follow no route. Pods are reached through a Service of their own meanwhile. Machines have one too,
 * which nobody calls: a proxy that no Service selects any more drops its listeners, and with them the connections that it keeps.
 */
import type { KubernetesObject } from '../ports/cluster-port.ts';
import {
  type CutoverTarget,
  ownLabels,
  pushAnnotation,
  renderRoutes,
  renderSubsets,
  routesName,
} from './cutover-routes.ts';

type Labels = Readonly<Record<string, string>>;

/** What a Service says of its ports and of those who call it, beside what it selects. */
export interface ServiceLike {
  readonly annotations: Labels;
  readonly spec: Readonly<Record<string, unknown>>;
}

export interface SelectorGuard {
  /** Name of the Service. */
  readonly service: string;
  /** What it selects, as its owner wrote it. */
  readonly selector: Labels;
  readonly like: ServiceLike;
}

/** Whose endpoints the Service has; `both` is what its owner wrote. */
export type Selected = 'machines' | 'pods' | 'both';

/** At 100% everybody goes to pods, also who follows no route; at any other weight these stay with machines. */
export const selectedAt = (weight: number): Selected => (weight === 100 ? 'pods' : 'machines');

export const machinesService = (migration: string): string => `${routesName(migration)}-machines`;

export function labelsOf({ machineLabels, podLabels }: CutoverTarget, side: Exclude<Selected, 'both'>): Labels {
  return side === 'pods' ? podLabels : machineLabels;
}

/** The Service's selector with one side's endpoints; undefined where its routes guard it. */
export function selectorOf(target: CutoverTarget, selected: Selected): Labels | undefined {
  if (target.selector === undefined) return undefined;
  return selected === 'both'
    ? target.selector.selector
    : { ...target.selector.selector, ...labelsOf(target, selected) };
}

/** Something of the Service's own routes says who gets what: TCP alone needs none where its selector does. */
export const leadsByRoutes = ({ ports, selector }: CutoverTarget): boolean =>
  selector === undefined || ports.some(({ protocol }) => protocol === 'http');

/** All that a migration owns in the mesh. */
export function renderGuard(target: CutoverTarget, weight: number, push: string): readonly KubernetesObject[] {
  const sides = target.selector === undefined ? [renderSubsets(target, weight, push)] : renderSides(target, push);
  return [...sides, ...(leadsByRoutes(target) ? [renderRoutes(target, weight, push)] : [])];
}

/** The Services of the sides; none where routes guard the Service. */
export function renderSides(target: CutoverTarget, push: string): readonly KubernetesObject[] {
  const { namespace, migration, selector: guard } = target;
  if (guard === undefined) return [];
  return (['machines', 'pods'] as const).map((side) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: side === 'pods' ? routesName(migration) : machinesService(migration),
      namespace,
      labels: { ...ownLabels(migration), [pushAnnotation]: push },
      ...(Object.keys(guard.like.annotations).length === 0 ? {} : { annotations: guard.like.annotations }),
    },
    spec: { ...guard.like.spec, selector: selectorOf(target, side) },
  }));
}
