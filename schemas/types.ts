// Generated from the .avsc files by `npm run schemas:types`. Do not edit.

/** A customer tenant: how it is polled and what its alerts are enriched with. Topic tenants, key tenantId, compacted. Written by `socos tenants`. */
export interface Tenant {
  /** Entra tenant id, a lower-case GUID. */
  readonly tenantId: string
  /** Application (client) id of the app that the customer registered. */
  readonly clientId: string
  /** The customer's name as people write it; any Unicode. */
  readonly name: string
  /** global, usgov, dod or china; selects login and Graph host from the table in code. */
  readonly cloud: string
  /** alerts_v2, or alerts for the legacy list. */
  readonly source: string
  /** secretFile, certificateFile or federatedTokenFile. */
  readonly credentialKind: string
  /** Path of the credential relative to SECRETS_DIR. The credential itself is never in Kafka. */
  readonly credentialFile: string
  /** ISO date at which the credential ends, as recorded at onboarding. */
  readonly credentialExpires: null | string
  /** Poll interval of this tenant; null takes POLL_INTERVAL_SECONDS. */
  readonly intervalSeconds: null | number
  /** How far the first poll looks back; null takes LOOKBACK_HOURS. */
  readonly lookbackHours: null | number
  /** JSON object (UTF-8) that enriches every alert of the tenant. */
  readonly metadataJson: Buffer
  /** active or off-boarded. */
  readonly state: string
  /** What becomes of alerts that are on the way when the tenant is removed: park, or deliver within a minute and park the rest. */
  readonly offboarding: string
  /** When this record was written, ms since the epoch. */
  readonly changedAt: number
}

/** One window that Graph would not give. */
export interface Gap {
  /** First update time of the gap. */
  readonly from: string
  /** First update time after the gap. */
  readonly to: string
  /** Why it could not be read, in words. */
  readonly reason: string
  /** When the gap was first recorded, ms since the epoch. */
  readonly since: number
  /** How often it was tried. */
  readonly attempts: number
}

/** A closed window listed again and compared with what was delivered. */
export interface Sweep {
  /** First update time of what is proven complete. */
  readonly from: string
  /** Update times before this instant are proven complete. */
  readonly to: string
  /** When the last sweep ended, ms since the epoch. */
  readonly sweptAt: number
  /** Alert revisions that Graph listed in the last sweep. */
  readonly listed: number
  /** Of these, delivered, parked or on the way already. */
  readonly known: number
  /** Of these, published by the sweep. */
  readonly repaired: number
  /** Of these, older than any poll would list again: without the sweep they were lost. */
  readonly late: number
  /** Sum of late over all sweeps of the tenant. */
  readonly lateTotal: number
}

/** How far a tenant has been polled and how the last poll went: the receipt that tells quiet from silent. Topic checkpoints, compacted. Key tenantId: written by the poller that owns the lane, only after the acks of everything it covers. Key tenantId/sweep: only tenantId, source and sweep say something; written by whoever swept. */
export interface Checkpoint {
  /** Entra tenant id. */
  readonly tenantId: string
  /** The list that was polled; a tenant whose source changes starts a new look-back. */
  readonly source: string
  /** Update times before this instant (7 fraction digits, UTC) were listed completely, but for gaps and backfill. */
  readonly watermark: string
  /** First update time the look-back has not listed yet; null when it is done. */
  readonly backfillNext: null | string
  /** Where the look-back ends: the instant at which live polling began. */
  readonly backfillUntil: null | string
  /** ok, catching-up, throttled, unavailable, partial or needs-attention. */
  readonly state: string
  /** What is wrong, in words with the code; null when nothing is. */
  readonly problem: null | string
  /** When the present problem was first seen, ms since the epoch. */
  readonly problemSince: null | number
  /** Whose move it is when a tenant needs attention: customer, operator or maintainer. */
  readonly move: null | string
  /** The page of Microsoft's admin center on which it is mended; null where there is none. */
  readonly page: null | string
  /** When a tenant with a problem is tried again at the latest, ms since the epoch; a changed credential file brings it forward. */
  readonly nextTryAt: null | number
  /** End of the last turn, whatever came of it, ms since the epoch. */
  readonly polledAt: number
  /** End of the last turn that listed its whole window, ms since the epoch. */
  readonly succeededAt: null | number
  /** Alerts listed in the last turn. */
  readonly listed: number
  /** Alert revisions published in the last turn. */
  readonly published: number
  /** Alert revisions published for this tenant since it was on-boarded. */
  readonly publishedTotal: number
  /** Alerts parked by the poller itself: another tenant's, or without id or version. */
  readonly quarantinedTotal: number
  /** Providers that did not answer in the last turn (206 and Warning). */
  readonly partialProviders: readonly string[]
  /** Windows that could not be read however small they were cut; retried. */
  readonly gaps: readonly Gap[]
  /** What the completeness sweeps have proven; under the key tenantId/sweep, else null. */
  readonly sweep: null | Sweep
}

/** One revision of one alert as Graph returned it. Topic alerts, key tenantId/alertId. Written by pollers. */
export interface GraphAlert {
  /** The polled tenant, lower-case GUID. */
  readonly tenantId: string
  /** Graph's id of the alert, unchanged. */
  readonly alertId: string
  /** Update time with 7 fraction digits, UTC; compares as text. */
  readonly version: string
  /** SHA-256 of the bytes in `alert`. */
  readonly contentHash: Buffer
  /** alerts_v2 or alerts. */
  readonly source: string
  /** poll, backfill, sweep or retry. */
  readonly origin: string
  /** When the poller read it, ms since the epoch. */
  readonly observedAt: number
  /** How often it was parked and retried before. */
  readonly attempts: number
  /** Graph's severity, for selection without parsing. */
  readonly severity: null | string
  /** Graph's status, for selection without parsing. */
  readonly status: null | string
  /** Graph's serviceSource, for selection without parsing. */
  readonly serviceSource: null | string
  /** The alert's JSON, byte for byte as it stood in Graph's page. */
  readonly alert: Buffer
}

/** A revision and the record that brought it. */
export interface LedgerMark {
  /** Version of the revision. */
  readonly version: string
  /** First 8 bytes of the SHA-256 of its bytes: tells two contents of one version apart. */
  readonly contentHash: Buffer
  /** Offset of its record in the lane of the alerts topic. */
  readonly offset: number
  /** When the fate was certain, ms since the epoch. */
  readonly at: number
}

/** Records of the tenant by fate. seen = delivered + duplicate + stale + parked. */
export interface Totals {
  /** Records of the lane before this offset are counted. */
  readonly upTo: number
  /** Records counted. */
  readonly seen: number
  /** Accepted by the engine. */
  readonly delivered: number
  /** Dropped: same version and content as one already settled. */
  readonly duplicate: number
  /** Dropped: older than what the engine has. */
  readonly stale: number
  /** Set aside with a reason. */
  readonly parked: number
  /** Only of the lane (empty tenant id): records that were deleted from the log before they were read. */
  readonly lost: number
  /** When the engine last accepted an alert of the tenant, ms since the epoch. */
  readonly lastDeliveredAt: null | number
}

/** The ledger. Topic deliveries, compacted and expiring. Key tenantId/alertId: what the engine has of that alert. Key tenantId/ (empty alert id): the running totals of the tenant. Key /: what the lane lost. Written by the forwarder that owns the lane, after the engine's answer. */
export interface Delivery {
  /** Entra tenant id. */
  readonly tenantId: string
  /** Graph's id of the alert; empty for totals. */
  readonly alertId: string
  /** The newest revision that the engine accepted; null when none was. */
  readonly delivered: null | LedgerMark
  /** The newest revision that was parked; null when none was. */
  readonly parked: null | LedgerMark
  /** Only under the key tenantId/. */
  readonly totals: null | Totals
}

/** A record that could not be delivered, kept verbatim with its reason until someone decides. Topic parked, key tenantId/alertId. Written by forwarders and pollers. */
export interface Parked {
  /** Entra tenant id; for an undecodable record what its key says, else empty. */
  readonly tenantId: string
  /** Graph's id of the alert, or empty when unknown. */
  readonly alertId: string
  /** Version of the revision; null when unknown. */
  readonly version: null | string
  /** One of a closed set, see schemas/README.md. */
  readonly reason: string
  /** What happened, in words; bounded and stripped of control characters. */
  readonly detail: string
  /** When it was parked, ms since the epoch. */
  readonly parkedAt: number
  /** How often it has been parked, this time included. */
  readonly attempts: number
  /** Topic it came from; empty when the poller parked it before publishing. */
  readonly topic: string
  /** Partition it came from. */
  readonly lane: number
  /** Offset it came from; -1 when the poller parked it. */
  readonly offset: number
  /** alerts_v2 or alerts, when known. */
  readonly source: null | string
  /** What `record` holds: graph-alert (the wire bytes of the record) or json (the alert's bytes as Graph sent them). */
  readonly format: string
  /** The thing itself, verbatim. */
  readonly record: Buffer
}

/** Who did what, why, and what came of it. Topic audit, key operationId. Written by the CLI before an operation's first effect and at its end. */
export interface AuditEntry {
  /** Id of the operation; start and end carry the same. */
  readonly operationId: string
  /** Command, for example replay or parked discard. */
  readonly operation: string
  /** start, progress or end. */
  readonly phase: string
  /** When, ms since the epoch. */
  readonly at: number
  /** Who, as given by the operator's environment. */
  readonly by: string
  /** Why, in the operator's words. */
  readonly reason: string
  /** JSON: selection, frozen offsets, target. */
  readonly scopeJson: Buffer
  /** JSON: counts and outcome; null at the start. */
  readonly resultJson: null | Buffer
}
