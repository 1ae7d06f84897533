/** The images that pods run: built once into the cache as archives, imported into containerd at each start; no registry. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';

import { ensurePart, partFolder } from '../cache.ts';
import { writeDockerArchive, type Image } from '../images/archive.ts';
import { istio } from '../layout.ts';
import { proxyRootFolder } from '../parts/debian.ts';
import { envoyBinary } from '../parts/envoy.ts';
import { goBuild, istioSource } from '../parts/go-builds.ts';
import { ctr } from './ctr.ts';

const hub = 'sandbox.local';
export const pauseImage = `${hub}/pause:1`;
export const appImage = `${hub}/app:1`;
export const coreDnsImage = `${hub}/coredns:1`;

/** One static binary that is the whole image. */
const oneBinary = (name: string, tag: string, from: string, path: string, user = ''): Image => ({
  name,
  tag,
  layers: [{ files: [{ path, content: { from }, mode: 0o755 }] }],
  entrypoint: [path],
  user,
});

const nodeImages: readonly (() => Promise<Image>)[] = [
  async () => oneBinary('pause', '1', join(await goBuild('pause'), 'pause'), '/pause'),
  async () => oneBinary('coredns', '1', join(await goBuild('coredns'), 'coredns'), '/coredns'),
  async () => oneBinary('app', '1', join(await goBuild('app'), 'app'), '/app'),
];

const meshImages: readonly (() => Promise<Image>)[] = [
  async () =>
    oneBinary(
      'pilot',
      istio.version,
      join(await goBuild('istio'), 'pilot-discovery'),
      '/usr/local/bin/pilot-discovery',
      '1337:1337',
    ),
  proxyImage,
];

/** Stands in for Istio's proxyv2: the same paths, a vanilla Envoy. Root, because istio-init redirects with it; the pods say 1337. */
async function proxyImage(): Promise<Image> {
  const [rootDir, envoy, binaries, source] = await Promise.all([
    proxyRootFolder(),
    envoyBinary(),
    goBuild('istio'),
    istioSource(),
  ]);
  return {
    name: 'proxyv2',
    tag: istio.version,
    layers: [
      { rootDir },
      {
        files: [
          { path: '/usr/local/bin/envoy', content: { from: envoy }, mode: 0o755 },
          { path: '/usr/local/bin/pilot-agent', content: { from: join(binaries, 'pilot-agent') }, mode: 0o755 },
          {
            path: '/var/lib/istio/envoy/envoy_bootstrap_tmpl.json',
            content: { from: join(source, 'tools', 'packaging', 'common', 'envoy_bootstrap.json') },
            mode: 0o644,
          },
        ],
      },
    ],
    entrypoint: ['/usr/local/bin/pilot-agent'],
  };
}

export const importNodeImages = async (): Promise<void> => {
  await Promise.all(nodeImages.map(importImage));
};
export const importMeshImages = async (): Promise<void> => {
  await Promise.all(meshImages.map(importImage));
};
/** Makes the archives without a containerd, so that a cold start does it beside other things. */
export const buildImages = async (): Promise<void> => {
  await Promise.all([...nodeImages, ...meshImages].map(archive));
};

async function importImage(image: () => Promise<Image>): Promise<void> {
  await ctr(['images', 'import', '--no-unpack', await archive(image)]);
}

/** Path of the image's archive; its key is the definition, whose paths carry the keys of the parts inside. */
async function archive(image: () => Promise<Image>): Promise<string> {
  const definition = await image();
  const key = createHash('sha256').update(JSON.stringify(definition)).digest('hex').slice(0, 12);
  const part = { name: `image-${definition.name}`, key };
  await ensurePart({
    ...part,
    build: async (into) => {
      await writeDockerArchive(definition, join(into, 'image.tar'));
    },
  });
  return join(partFolder(part), 'image.tar');
}
