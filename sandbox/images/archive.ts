/**
 * Writes container images without a registry or a container engine: a docker-archive (layers, config, manifest) that
 * `ctr -n k8s.io images import` takes as `sandbox.local/<name>:<tag>`.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';

import { run } from '../exec.ts';

interface ImageFile {
  /** Absolute path inside the image. */
  readonly path: string;
  /** A file of the host to copy, or the text itself. */
  readonly content: { readonly from: string } | { readonly text: string };
  readonly mode: number;
}

/** A layer is a whole folder, owners and modes kept, or a list of files owned by root. */
type ImageLayer = { readonly rootDir: string } | { readonly files: readonly ImageFile[] };

export interface Image {
  readonly name: string;
  readonly tag: string;
  readonly layers: readonly ImageLayer[];
  readonly entrypoint: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** `uid` or `uid:gid`; root when absent. */
  readonly user?: string;
}

const imageReference = (image: Pick<Image, 'name' | 'tag'>): string => `sandbox.local/${image.name}:${image.tag}`;

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

async function stageFiles(files: readonly ImageFile[], into: string): Promise<void> {
  await chmod(into, 0o755);
  for (const file of files) {
    const target = join(into, file.path);
    await mkdir(dirname(target), { recursive: true });
    if ('from' in file.content) await copyFile(file.content.from, target);
    else await writeFile(target, file.content.text);
    await chmod(target, file.mode);
  }
}

/** Same content, same bytes: sorted names and one date. Sockets and device nodes have no place in an image. */
const packFolder = async (folder: string, tar: string): Promise<void> => {
  await run('tar', [
    '--sort=name',
    '--mtime=@0',
    '--numeric-owner',
    '--exclude=./dev/*',
    '-C',
    folder,
    '-cf',
    tar,
    '.',
  ]);
};

async function writeLayer(layer: ImageLayer, scratch: string, tar: string): Promise<void> {
  if ('rootDir' in layer) {
    await packFolder(layer.rootDir, tar);
    return;
  }
  const staged = await mkdtemp(join(scratch, 'staged-'));
  await stageFiles(layer.files, staged);
  await packFolder(staged, tar);
  await rm(staged, { recursive: true });
}

/** Writes the archive to `path`, by rename, and answers the reference under which pods name the image. */
export async function writeDockerArchive(image: Image, path: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  const scratch = await mkdtemp(`${path}.building-`);
  try {
    const archive = join(scratch, 'archive');
    await mkdir(archive);
    const diffIds: string[] = [];
    for (const layer of image.layers) {
      const tar = join(scratch, 'layer.tar');
      await writeLayer(layer, scratch, tar);
      const digest = await sha256(tar);
      await rename(tar, join(archive, `${digest}.tar`));
      diffIds.push(digest);
    }
    const config = JSON.stringify({
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      config: {
        Entrypoint: image.entrypoint,
        Env: Object.entries(image.env ?? {}).map(([key, value]) => `${key}=${value}`),
        User: image.user ?? '',
      },
      rootfs: { type: 'layers', diff_ids: diffIds.map((digest) => `sha256:${digest}`) },
    });
    const configName = `${createHash('sha256').update(config).digest('hex')}.json`;
    await writeFile(join(archive, configName), config);
    const manifest = [
      { Config: configName, RepoTags: [imageReference(image)], Layers: diffIds.map((digest) => `${digest}.tar`) },
    ];
    await writeFile(join(archive, 'manifest.json'), JSON.stringify(manifest));
    const finished = join(scratch, 'image.tar');
    await packFolder(archive, finished);
    await rename(finished, path);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return imageReference(image);
}
