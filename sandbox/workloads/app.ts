/** A deployment of the test app with its service account and, where it is called by name, its Service. */
import { appImage } from '../kubernetes/images.ts';
import { waitForDeployment, type KubernetesObject } from '../kubernetes/kubectl.ts';

const port = 8080;

/** Calls on port 80 reach the app's port wherever it runs, pod or machine. */
export const httpService = (namespace: string, name: string): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace, labels: { app: name } },
  spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: port }] },
});

export const appObjects = (namespace: string, name: string): readonly KubernetesObject[] => [
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
              args: ['serve', '--listen', `:${port}`],
              ports: [{ name: 'http', containerPort: port }],
              readinessProbe: { httpGet: { path: '/healthz', port }, periodSeconds: 1 },
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
