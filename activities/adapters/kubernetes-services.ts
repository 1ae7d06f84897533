/** What a migration has to know of the Services of its namespace. */
import { type V1Service, V1ServiceSpec } from '@kubernetes/client-node';

import type { KubernetesObject } from '../ports/cluster-port.ts';
import type { CutoverFacts, CutoverQuery } from '../ports/cutover-port.ts';
import { migrationLabel, ownLabels, routesName } from '../render/cutover-routes.ts';
import { machinesService, type ServiceLike } from '../render/service-sides.ts';
import { gitOpsOf } from './gitops-marks.ts';
import { heldSelector } from './kubernetes-selector.ts';

interface ServiceFacts extends Pick<CutoverFacts, 'service' | 'otherServices'> {
  /** What the migration has of its own, and the Service where it has that. */
  readonly own: readonly KubernetesObject[];
  /** What it would make for its sides, to be tried out: by their names alone. */
  readonly sides: readonly KubernetesObject[];
}

export function serviceFacts(items: readonly V1Service[], query: CutoverQuery): ServiceFacts {
  const { namespace, service: name, migration } = query;
  const service = items.find(({ metadata }) => metadata?.name === name);
  const isOwn = ({ metadata }: V1Service): boolean => metadata?.labels?.[migrationLabel] === migration;
  const isHeld = service !== undefined && heldSelector(service)?.migration === migration;
  return {
    ...(service === undefined ? {} : { service: foundService(service) }),
    otherServices: items.flatMap((other) =>
      other.spec?.selector === undefined || other === service || isOwn(other)
        ? []
        : [{ name: other.metadata?.name ?? '', selector: other.spec.selector }],
    ),
    own: [...items.filter(isOwn), ...(isHeld ? [service] : [])].map(asObject),
    sides: service === undefined || query.bySelector !== true ? [] : sidesToTry(service, namespace, migration),
  };
}

function foundService(service: V1Service): NonNullable<CutoverFacts['service']> {
  const { metadata, spec } = service;
  const held = heldSelector(service);
  const gitOps = gitOpsOf(metadata ?? {});
  return {
    selector: held?.selector ?? spec?.selector ?? {},
    isHeadless: spec?.clusterIP === 'None',
    ...(spec?.type === 'ExternalName' ? { isExternal: true } : {}),
    ...(held === undefined ? {} : { heldBy: held.migration }),
    ...(gitOps.length === 0 ? {} : { gitOps }),
    ports: (spec?.ports ?? []).map(({ name, port, targetPort, appProtocol }) => ({
      port,
      ...(name === undefined ? {} : { name }),
      ...(targetPort === undefined ? {} : { targetPort: targetPort }),
      ...(appProtocol === undefined ? {} : { appProtocol }),
    })),
    like: likeOf(service),
  };
}

/** What Istio reads of a Service's annotations, e.g. to whom it is exported. */
const ofIstio = /^(networking|alpha)\.istio\.io\//;

function likeOf({ metadata, spec = new V1ServiceSpec() }: V1Service): ServiceLike {
  const annotations = Object.entries(metadata?.annotations ?? {}).filter(([key]) => ofIstio.test(key));
  const { internalTrafficPolicy, ipFamilyPolicy, publishNotReadyAddresses, trafficDistribution } = spec;
  const ports = (spec.ports ?? []).map(({ name, port, targetPort, protocol, appProtocol }) => ({
    ...{ name, port, targetPort, protocol, appProtocol },
  }));
  const kept: Readonly<Record<string, unknown>> = {
    ports,
    internalTrafficPolicy,
    ipFamilyPolicy,
    publishNotReadyAddresses,
    trafficDistribution,
  };
  return {
    annotations: Object.fromEntries(annotations),
    spec: JSON.parse(JSON.stringify(kept)) as ServiceLike['spec'],
  };
}

const sidesToTry = (service: V1Service, namespace: string, migration: string): readonly KubernetesObject[] =>
  [routesName(migration), machinesService(migration)].map((name) => ({
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace, labels: ownLabels(migration) } },
    spec: { ...likeOf(service).spec, selector: service.spec?.selector ?? {} },
  }));

/** Of a list each comes without its kind. */
const asObject = ({ metadata, spec }: V1Service): KubernetesObject => ({
  ...{ apiVersion: 'v1', kind: 'Service' },
  metadata: { name: metadata?.name ?? '', namespace: metadata?.namespace ?? '' },
  spec,
});
