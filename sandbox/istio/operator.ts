/** What istioctl is asked for. The pilot's switches are there because Envoy here is vanilla and has none of Istio's own filters. */
import { istio } from '../layout.ts';

/** Name of the network of the pods: machines on another one come in by the east-west gateway. */
export const clusterNetwork = 'cluster-net';

export const operator = {
  apiVersion: 'install.istio.io/v1alpha1',
  kind: 'IstioOperator',
  spec: {
    profile: 'minimal',
    hub: 'sandbox.local',
    tag: istio.version,
    revision: istio.revision,
    meshConfig: {
      // Losses show instead of being retried away.
      defaultHttpRetryPolicy: { attempts: 0 },
      defaultProviders: { metrics: [] },
      // What Istio's own filter counts elsewhere: answers and their times, where they are served; and that nobody retries.
      defaultConfig: {
        proxyStatsMatcher: {
          inclusionRegexps: ['cluster\\.inbound.*upstream_rq_(\\dxx|time)', 'cluster\\.outbound.*upstream_rq_retry'],
        },
      },
    },
    values: {
      global: {
        network: clusterNetwork,
        multiCluster: { clusterName: istio.clusterId },
        imagePullPolicy: 'Never',
        proxy: { resources: { requests: { cpu: '10m', memory: '32Mi' }, limits: { cpu: '2', memory: '512Mi' } } },
        proxy_init: { resources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { cpu: '2', memory: '256Mi' } } },
      },
      pilot: {
        autoscaleEnabled: false,
        // Two, because what one istiod knows is no proof of what its proxies at the other have.
        replicaCount: 2,
        // Less than the pods that it serves: elsewhere it would take nothing of their node's time.
        resources: { requests: { cpu: '1m', memory: '128Mi' } },
        env: { PILOT_ENABLE_METADATA_EXCHANGE: 'false', PILOT_ENABLE_ALPN_FILTER: 'false' },
      },
    },
  },
} as const;
