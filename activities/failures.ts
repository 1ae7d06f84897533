/** The one table of failures: what kind, and whether a retry can heal it (house rule: retry is decided by type, here). */
import { ApplicationFailure } from '@temporalio/common';

const failures = {
  HostUnreachable: { retryable: true },
  HostKeyMismatch: { retryable: false },
  HostAuthRejected: { retryable: false },
  SudoRefused: { retryable: false },
  HostCommandFailed: { retryable: false },
  HostDiskFull: { retryable: false },
  HostBusy: { retryable: true },
  FenceTooLow: { retryable: false },
  HostNotAllowed: { retryable: false },
  HostTaken: { retryable: false },
  ClusterUnreachable: { retryable: true },
  ClusterConflict: { retryable: true },
  ClusterForbidden: { retryable: false },
  ObjectRejected: { retryable: false },
  ObjectExists: { retryable: false },
  CredentialMissing: { retryable: false },
  NamespaceMissing: { retryable: false },
  EvidenceUnavailable: { retryable: true },
  PackageMissing: { retryable: false },
  PackageChecksumWrong: { retryable: false },
  PackageSourceUnreachable: { retryable: true },
  MeshConfigInvalid: { retryable: false },
  RevisionUnknown: { retryable: false },
  ProxyNotReady: { retryable: true },
  TokenMissing: { retryable: false },
  CaptureBrokeTraffic: { retryable: false },
  ProxyNotConnected: { retryable: true },
  ConfigRejected: { retryable: true },
  NotRegistered: { retryable: true },
  NotHealthy: { retryable: true },
  EndpointGivenOut: { retryable: true },
  EndpointNotGivenOut: { retryable: true },
  SidesMixed: { retryable: true },
  DrainUnproven: { retryable: true },
  NotQuiet: { retryable: true },
  RouteMissing: { retryable: true },
  RouteNotHeld: { retryable: true },
  RouteUnacknowledged: { retryable: true },
  GuardIncomplete: { retryable: true },
  PodsNotReady: { retryable: true },
  PodsNotGone: { retryable: true },
  NoMachineServes: { retryable: true },
  SmokeFailed: { retryable: true },
  NotSilent: { retryable: true },
  MetricsUnset: { retryable: false },
  MetricsUnavailable: { retryable: true },
  QueryRefused: { retryable: false },
  MachineClaimed: { retryable: false },
  NotLeft: { retryable: true },
  RetireFailed: { retryable: false },
} as const satisfies Record<string, { retryable: boolean }>;

export type FailureType = keyof typeof failures;

/**
 * A failure of the table, ready to be thrown by an adapter or activity.
 * The message says what, on which object, and what to do; the vendor's error is kept as `cause` and must hold no secret.
 */
export function failure(type: FailureType, message: string, cause?: unknown): ApplicationFailure {
  return ApplicationFailure.create({
    type,
    message,
    nonRetryable: !failures[type].retryable,
    ...(cause instanceof Error ? { cause } : {}),
  });
}
