/** What tells one host from another in the cluster: its key, and where SSH reaches it. */
import type { Host } from '../../api/schemas/machine.ts';
import type { KubernetesObject } from '../ports/cluster-port.ts';
import { hostKeyAnnotation, hostPlaceAnnotation, machineLabel } from './names.ts';

/** `192.0.2.10:22`, with the jump host where there is one: behind another one the same address is another host. */
export function hostPlace({ jump, ...host }: Pick<Host, 'address' | 'port' | 'jump'>): string {
  const place = ({ address, port = 22 }: Pick<Host, 'address' | 'port'>): string =>
    address.includes(':') ? `[${address.toLowerCase()}]:${port}` : `${address.toLowerCase()}:${port}`;
  return jump === undefined ? place(host) : `${place(host)} via ${place(jump)}`;
}

/** The objects of the machine itself say which host it is; what its group shares does not. */
export function markWithHost(
  objects: readonly KubernetesObject[],
  host: Host,
  hostKey: string,
): readonly KubernetesObject[] {
  const annotations = { [hostKeyAnnotation]: hostKey, [hostPlaceAnnotation]: hostPlace(host) };
  return objects.map((object) =>
    object.metadata.labels?.[machineLabel] === undefined
      ? object
      : {
          ...object,
          metadata: { ...object.metadata, annotations: { ...object.metadata.annotations, ...annotations } },
        },
  );
}
