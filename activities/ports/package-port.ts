/** Where the `istio-sidecar` package comes from: configuration of the worker, never a field of a request. */
export interface FoundPackage {
  readonly name: string;
  readonly version: string;
  readonly localPath: string;
  readonly sha256: string;
}

/** Failure types: `PackageMissing`, `PackageChecksumWrong`, `PackageSourceUnreachable`. */
export interface PackagePort {
  /** The package of this version for a format and architecture, checksum verified, in a local file. */
  find(version: string, format: 'deb' | 'rpm', architecture: string, signal?: AbortSignal): Promise<FoundPackage>;
}
