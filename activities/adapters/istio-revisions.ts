/** Reads which istiods run, and resolves revision, tag or default to one of them. */
import type { ClusterFacts } from '../ports/cluster-port.ts';
import { chooseRevision, versionOfImage } from '../render/revision.ts';
import type { IstiodDebug } from './istiod-debug.ts';
import { found, type KubernetesClient } from './kubernetes-client.ts';

const revisionLabel = 'istio.io/rev';
const tagLabel = 'istio.io/tag';

export interface RevisionQuery {
  readonly wanted?: string;
  readonly namespaceLabel?: string;
}

/**
 * An istiod's Deployment says what runs: its revision by label, its version by the tag of its image; where the tag is no version
 * (a digest, a name), the istiod itself is asked.
 */
export async function readRevision(
  client: KubernetesClient,
  debug: IstiodDebug,
  istioNamespace: string,
  query: RevisionQuery,
): Promise<ClusterFacts['revision']> {
  const [deployments, webhooks, validator] = await Promise.all([
    client.apps.listNamespacedDeployment({ namespace: istioNamespace, labelSelector: 'app=istiod' }),
    client.admission.listMutatingWebhookConfiguration({ labelSelector: tagLabel }),
    found(client.admission.readValidatingWebhookConfiguration({ name: 'istiod-default-validator' })),
  ]);
  const installed = new Map(
    deployments.items.map((deployment) => [deployment.metadata?.labels?.[revisionLabel] ?? 'default', deployment]),
  );
  const tags = new Map(
    webhooks.items.flatMap(({ metadata }) => {
      const [tag, revision] = [metadata?.labels?.[tagLabel], metadata?.labels?.[revisionLabel]];
      return tag === undefined || revision === undefined ? [] : [[tag, revision] as const];
    }),
  );
  const validated = validator?.metadata?.labels?.[revisionLabel];
  const name = chooseRevision({
    ...query,
    tags,
    ...(validated === undefined ? {} : { validator: validated }),
    installed: [...installed.keys()],
  });
  const deployment = name === undefined ? undefined : installed.get(name);
  if (name === undefined || deployment === undefined) return undefined;
  const containers = deployment.spec?.template.spec?.containers ?? [];
  const image = containers.find((container) => container.name === 'discovery')?.image ?? containers[0]?.image ?? '';
  const version = versionOfImage(image) ?? (await askVersion(debug, name));
  return { name, version, readyReplicas: deployment.status?.readyReplicas ?? 0 };
}

/** Empty where no istiod of the revision runs. `/version` answers `<version>-<commit>-<status>`. */
async function askVersion(debug: IstiodDebug, revision: string): Promise<string> {
  const pod = (await debug.pods()).find((candidate) => candidate.revision === revision);
  if (pod === undefined) return '';
  return /^\d+\.\d+\.\d+(-(alpha|beta|rc)\.\d+)?/.exec(await debug.get(pod, '/version'))?.[0] ?? '';
}
