/** The `istio-sidecar` package from a directory or a URL template, checksum verified. */
import { createHash, randomUUID } from 'node:crypto';
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

  async find(
    version: string,
    format: 'deb' | 'rpm',
    architecture: string,
    signal?: AbortSignal,
  ): Promise<FoundPackage> {
    const arch = format === 'rpm' ? rpmArchitecture(architecture) : architecture;
    const file = format === 'rpm' ? `${packageName}-${version}.${arch}.rpm` : `${packageName}_${version}_${arch}.deb`;
    const isUrl = /^https?:\/\//.test(this.#source);
    const { localPath, sha256 } = isUrl
      ? await this.#download(fill(this.#source, { version, arch, format }), file, signal)
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
  async #download(url: string, file: string, signal?: AbortSignal): Promise<{ localPath: string; sha256: string }> {
    const sha256 = parseChecksum((await fetchBytes(besideUrl(url, '.sha256'), signal))?.toString('utf8'), url);
    const localPath = join(this.#cacheDirectory, `${sha256.slice(0, 16)}-${file}`);
    if ((await isThere(localPath)) && (await digestOf(localPath)) === sha256) return { localPath, sha256 };
    const bytes = await fetchBytes(url, signal);
    if (bytes === undefined) throw missing(url);
    if (createHash('sha256').update(bytes).digest('hex') !== sha256) throw wrong(url);
    await mkdir(this.#cacheDirectory, { recursive: true });
    const partial = `${localPath}.${randomUUID()}.part`;
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

/** The file of this suffix beside a URL's file; a query stays where it is. */
const besideUrl = (url: string, suffix: string): string => url.replace(/(?=\?|$)/, suffix);

/** A query may hold a token, and what stands before an `@` a password: no message tells them. */
const shown = (what: string): string => what.replace(/^(https?:\/\/)[^/?]*@/, '$1...@').replace(/\?.*$/, '?...');

const missing = (what: string): Error =>
  failure(
    'PackageMissing',
    `Package ${shown(what)} does not exist; put it and its .sha256 there, or correct MESHLIFT_PACKAGES`,
  );

const wrong = (what: string): Error =>
  failure(
    'PackageChecksumWrong',
    `Package ${shown(what)} differs from its .sha256; fetch both again from where they were built`,
  );

/** A digest alone, or a line of sha256sum. */
function parseChecksum(text: string | undefined, file: string): string {
  if (text === undefined) throw missing(besideUrl(file, '.sha256'));
  const digest = /^([0-9a-f]{64})(\s|$)/i.exec(text.trim())?.[1];
  if (digest === undefined)
    throw failure('PackageChecksumWrong', `${shown(besideUrl(file, '.sha256'))} holds no SHA-256 digest; write one`);
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
async function fetchBytes(url: string, signal?: AbortSignal): Promise<Buffer | undefined> {
  // What fetch says of such a URL quotes it whole.
  if (!isPlainUrl(url)) throw unreachable(url, 'it is no URL, or holds a user or password');
  try {
    const patience = AbortSignal.timeout(downloadTimeoutMs);
    const response = await fetch(url, { signal: signal ? AbortSignal.any([signal, patience]) : patience });
    if (response.status === 404 || response.status === 410) return undefined;
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return Buffer.from(await response.arrayBuffer());
  } catch (error) {
    signal?.throwIfAborted();
    throw unreachable(url, error instanceof Error ? error.message : 'no answer', error);
  }
}

function isPlainUrl(url: string): boolean {
  const parsed = URL.parse(url);
  return parsed !== null && parsed.username === '' && parsed.password === '';
}

const unreachable = (url: string, reason: string, cause?: unknown): Error =>
  failure(
    'PackageSourceUnreachable',
    `Package source ${shown(url)} cannot be read (${reason}); check MESHLIFT_PACKAGES`,
    cause,
  );
