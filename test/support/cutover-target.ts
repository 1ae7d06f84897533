/** What a migration of group `orders` leads, without a gateway. */
import type { CutoverTarget } from '../../activities/render/cutover-routes.ts';

export const cutoverTarget: CutoverTarget = {
  migration: 'orders',
  namespace: 'shop',
  host: 'orders.shop.svc.cluster.local',
  ports: [{ port: 80, protocol: 'http' }],
  machineLabels: { 'meshlift.dev/workload-group': 'orders' },
  podLabels: { version: 'v2' },
  podSelector: { app: 'orders', version: 'v2' },
  gatewayRoutes: [],
};

/** The same by `guard: selector`. */
export const selectorTarget: CutoverTarget = {
  ...cutoverTarget,
  selector: {
    service: 'orders',
    selector: { app: 'orders' },
    like: {
      annotations: { 'networking.istio.io/exportTo': '*' },
      spec: { ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
    },
  },
};
