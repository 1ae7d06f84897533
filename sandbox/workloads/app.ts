/** A deployment of the test app with its service account, and the Services that call it by name. */
import { appImage } from '../kubernetes/images.ts';
import { waitForDeployment, type KubernetesObject } from '../kubernetes/kubectl.ts';
import { type App, appPorts, portNames } from '../layout.ts';

/** HTTP is called on port 80, everything else on the app's own port, wherever it runs: pod or machine. */
const servicePort = (app: App) => ({
  name: portNames[app],
  port: app === 'http' ? 80 : appPorts[app],
  targetPort: appPorts[app],
});

export const service = (
  namespace: string,
  name: string,
  apps: readonly App[] = ['http'],
  selector: Readonly<Record<string, string>> = { app: name },
): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace, labels: { app: name } },
  spec: { selector, ports: apps.map(servicePort) },
});

const flagOf = (app: App): readonly string[] => [app === 'http' ? '--listen' : `--${app}`, `:${appPorts[app]}`];

/** Pods always serve HTTP, for their probe and as the place that loads start from. */
export const appObjects = (
  namespace: string,
  name: string,
  apps: readonly App[] = ['http'],
): readonly KubernetesObject[] => [
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } },
  {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace, labels: { app: name } },
    spec: {
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: {
          serviceAccountName: name,
          containers: [
            {
              name: 'app',
              image: appImage,
              imagePullPolicy: 'Never',
              args: ['serve', ...apps.flatMap(flagOf)],
              ports: apps.map((app) => ({ name: portNames[app], containerPort: appPorts[app] })),
              readinessProbe: { httpGet: { path: '/healthz', port: appPorts.http }, periodSeconds: 1 },
            },
          ],
        },
      },
    },
  },
];

export const waitForApp = async (namespace: string, name: string): Promise<void> => {
  await waitForDeployment(namespace, name, 180);
};
