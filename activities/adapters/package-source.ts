/** The `istio-sidecar` package from a directory or a URL template, checksum verified. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { failure } from '../failures.ts';
import type { FoundPackage, PackagePort } from '../ports/package-port.ts';

/** A package has some 60 MB; a source slower than that per minute counts as unreachable and is tried again. */
const downloadTimeoutMs = 60_000;
const packageName = 'istio-sidecar';

export interface PackageSourceOptions {
  /**
   * A directory that holds `istio-sidecar_<version>_<arch>.deb` and `istio-sidecar-<version>.<arch>.rpm`, or a URL with
   * `{version}`, `{arch}` and `{format}`. Beside each file stands `<file>.sha256`.
   */
  readonly source: string;
  /** Where downloads are kept. */
  readonly cacheDirectory: string;
}

export class PackageSource implements PackagePort {
  readonly #source: string;
  readonly #cacheDirectory: string;

  constructor({ source, cacheDirectory }: PackageSourceOptions) {
    this.#source = source;
    this.#cacheDirectory = cacheDirectory;
  }

  async find(version: string, format: 'deb' | 'rpm', architecture: string): Promise<FoundPackage> {
    const arch = format === 'rpm' ? rpmArchitecture(architecture) : architecture;
    const file = format === 'rpm' ? `${packageName}-${version}.${arch}.rpm` : `${packageName}_${version}_${arch}.deb`;
    const isUrl = /^https?:\/\//.test(this.#source);
    const { localPath, sha256 } = isUrl
      ? await this.#download(fill(this.#source, { version, arch, format }), file)
      : await this.#local(join(this.#source, file));
    return { name: packageName, version, localPath, sha256 };
  }

  async #local(localPath: string): Promise<{ localPath: string; sha256: string }> {
    const sha256 = parseChecksum(await readIfThere(`${localPath}.sha256`), localPath);
    if (!(await isThere(localPath))) throw missing(localPath);
    if ((await digestOf(localPath)) !== sha256) throw wrong(localPath);
    return { localPath, sha256 };
  }

  /** A download lands whole or not at all, and one that is there already is not fetched again while its checksum holds. */
  async #download(url: string, file: string): Promise<{ localPath: string; sha256: string }> {
    const sha256 = parseChecksum((await fetchBytes(`${url}.sha256`))?.toString('utf8'), url);
    const localPath = join(this.#cacheDirectory, `${sha256.slice(0, 16)}-${file}`);
    if ((await isThere(localPath)) && (await digestOf(localPath)) === sha256) return { localPath, sha256 };
    const bytes = await fetchBytes(url);
    if (bytes === undefined) throw missing(url);
    if (createHash('sha256').update(bytes).digest('hex') !== sha256) throw wrong(url);
    await mkdir(this.#cacheDirectory, { recursive: true });
    const partial = `${localPath}.${process.pid}.part`;
    try {
      await writeFile(partial, bytes, { mode: 0o644 });
      await rename(partial, localPath);
    } finally {
      await rm(partial, { force: true });
    }
    return { localPath, sha256 };
  }
}

/** rpm's names of Debian's architectures. */
const rpmArchitecture = (architecture: string): string =>
  ({ amd64: 'x86_64', arm64: 'aarch64' })[architecture] ?? architecture;

const fill = (template: string, values: Readonly<Record<string, string>>): string =>
  template.replace(/\{(version|arch|format)\}/g, (_, name: string) => values[name] ?? '');

const missing = (what: string): Error =>
  failure(
    'PackageMissing',
    `Package ${what} does not exist; put it and its .sha256 there, or correct MESHLIFT_PACKAGES`,
  );

const wrong = (what: string): Error =>
  failure(
    'PackageChecksumWrong',
    `Package ${what} differs from its .sha256; fetch both again from where they were built`,
  );

/** A digest alone, or a line of sha256sum. */
function parseChecksum(text: string | undefined, file: string): string {
  if (text === undefined) throw missing(`${file}.sha256`);
  const digest = /^([0-9a-f]{64})(\s|$)/i.exec(text.trim())?.[1];
  if (digest === undefined) throw failure('PackageChecksumWrong', `${file}.sha256 holds no SHA-256 digest; write one`);
  return digest.toLowerCase();
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

const isThere = async (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

const readIfThere = async (path: string): Promise<string | undefined> =>
  (await isThere(path)) ? readFile(path, 'utf8') : undefined;

/** Undefined where the source says that there is no such file. */
async function fetchBytes(url: string): Promise<Buffer | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(downloadTimeoutMs) });
    if (response.status === 404 || response.status === 410) return undefined;
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return Buffer.from(await response.arrayBuffer());
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'no answer';
    throw failure(
      'PackageSourceUnreachable',
      `Package source ${url} cannot be read (${reason}); check MESHLIFT_PACKAGES`,
      error,
    );
  }
}
