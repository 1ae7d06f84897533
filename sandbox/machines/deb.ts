/**
 * The `istio-sidecar` package of one Istio version, laid out as Istio's own packaging does it (paths, modes, conffiles,
 * postinst), with a vanilla Envoy inside.
 */
import { readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { digestOf, ensurePart, isCached, type Part } from '../cache.ts';
import { run } from '../exec.ts';
import { istio, paths } from '../layout.ts';
import { envoyBinary } from '../parts/envoy.ts';
import { goBuild, istioSource } from '../parts/go-builds.ts';
import { step } from '../progress.ts';

const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';
const packageFile = `istio-sidecar_${istio.version}_${architecture}.deb`;
const conffiles = ['/var/lib/istio/envoy/sidecar.env', '/var/lib/istio/envoy/envoy_bootstrap_tmpl.json'];
const control = [
  'Package: istio-sidecar',
  `Version: ${istio.version}`,
  'License: Apache',
  'Vendor: istio.io',
  `Architecture: ${architecture}`,
  'Maintainer: istio@istio.io',
  'Depends: iproute2, iptables, sudo, hostname',
  'Section: default',
  'Priority: optional',
  'Homepage: http://istio.io',
  'Description: Istio Sidecar',
  '',
].join('\n');

interface Sources {
  readonly pilotAgent: string;
  readonly envoy: string;
  readonly packaging: string;
}

/** Makes the package where the cache has none, and lays it with its checksum into the folder that Meshlift reads packages from. */
export async function layPackages(): Promise<void> {
  const sources = await gatherSources();
  const deb = packagePart(sources);
  const folder = isCached(deb)
    ? await ensurePart(deb)
    : await step('packing istio-sidecar (deb)', async () => await ensurePart(deb));
  await mkdir(paths.packages, { recursive: true });
  for (const file of [packageFile, `${packageFile}.sha256`])
    await copyFile(join(folder, file), join(paths.packages, file));
}

async function gatherSources(): Promise<Sources> {
  const [binaries, envoy, source] = await Promise.all([goBuild('istio'), envoyBinary(), istioSource()]);
  return { pilotAgent: join(binaries, 'pilot-agent'), envoy, packaging: join(source, 'tools', 'packaging') };
}

/** The sources' folders carry their digests in their names, so their paths stand for their content. */
function packagePart(sources: Sources): Part {
  const recipe = readFileSync(import.meta.filename, 'utf8');
  return {
    name: 'istio-sidecar',
    key: `${istio.version}-${digestOf(JSON.stringify(sources), recipe)}`,
    build: async (into) => {
      await pack(sources, into);
    },
  };
}

async function pack(sources: Sources, into: string): Promise<void> {
  const tree = join(into, 'tree');
  await layFiles(sources, tree);
  await lay(tree, '/DEBIAN/control', 0o644, control);
  await lay(tree, '/DEBIAN/conffiles', 0o644, conffiles.map((path) => `${path}\n`).join(''));
  await lay(tree, '/DEBIAN/postinst', 0o755, await readFile(join(sources.packaging, 'postinst.sh')));
  await run('dpkg-deb', ['--root-owner-group', '-Zgzip', '-z1', '--build', tree, join(into, packageFile)]);
  await rm(tree, { recursive: true });
  const digest = createHash('sha256')
    .update(await readFile(join(into, packageFile)))
    .digest('hex');
  await writeFile(join(into, `${packageFile}.sha256`), `${digest}  ${packageFile}\n`);
}

async function layFiles(sources: Sources, tree: string): Promise<void> {
  const common = join(sources.packaging, 'common');
  await lay(tree, '/usr/local/bin/pilot-agent', 0o755, await readFile(sources.pilotAgent));
  await lay(tree, '/usr/local/bin/envoy', 0o755, await readFile(sources.envoy));
  await lay(tree, '/usr/local/bin/istio-start.sh', 0o755, await readFile(join(common, 'istio-start.sh')));
  await lay(tree, '/lib/systemd/system/istio.service', 0o644, await readFile(join(common, 'istio.service')));
  await lay(tree, '/var/lib/istio/envoy/sidecar.env', 0o644, await readFile(join(common, 'sidecar.env')));
  await lay(
    tree,
    '/var/lib/istio/envoy/envoy_bootstrap_tmpl.json',
    0o644,
    await readFile(join(common, 'envoy_bootstrap.json')),
  );
}

async function lay(tree: string, path: string, mode: number, content: string | Buffer): Promise<void> {
  const target = join(tree, path);
  await mkdir(dirname(target), { recursive: true });
  await writeFile(target, content);
  await chmod(target, mode);
}
