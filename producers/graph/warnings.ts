import { scrub } from '../../platform/log-scrub.ts'
import type { HeaderValue } from './retry-after.ts'

/** One provider that is missing from a partial answer. Texts are cut, scrubbed and hold printable ASCII only. */
export interface ProviderWarning {
  readonly vendor: string
  readonly provider: string
  /** The provider's HTTP status, null if the header did not say. */
  readonly status: number | null
  readonly latencyMs: number | null
  /** True: not licensed, not granted or absent (401, 403, 404), which waiting does not change. False: may pass. */
  readonly permanent: boolean
}

const MAX_HEADER_CHARS = 16_384
const MAX_WARNINGS = 32
const MAX_NAME_CHARS = 64
const PERMANENT = new Set([401, 403, 404])

// 199 - "{Vendor}/{Provider}/{StatusCode}/{LatencyInMs}"
const ITEM = /\b199\s+\S+\s+"((?:[^"\\]|\\.){0,512})"/g

const UNKNOWN: ProviderWarning = {
  vendor: 'unknown',
  provider: 'unknown',
  status: null,
  latencyMs: null,
  permanent: false,
}

/**
 * What the `Warning` header says about providers that did not answer. A 206 is partial whatever its header says, so it
 * never gives an empty list; other statuses are partial only if a 199 item says so.
 */
export function providerWarnings(status: number, header: HeaderValue): readonly ProviderWarning[] {
  const text = (typeof header === 'string' ? header : (header ?? []).join(', ')).slice(0, MAX_HEADER_CHARS)
  const warnings = [...text.matchAll(ITEM)].slice(0, MAX_WARNINGS).map(match => warningFrom(match[1] ?? ''))
  return status === 206 && warnings.length === 0 ? [UNKNOWN] : warnings
}

function warningFrom(item: string): ProviderWarning {
  const parts = item.split('/')
  const latency = numberFrom(parts.at(-1))
  const status = numberFrom(parts.at(-2))
  if (parts.length < 4 || status === null) return { ...UNKNOWN, vendor: nameFrom(item) }
  return {
    vendor: nameFrom(parts[0]),
    provider: nameFrom(parts.slice(1, -2).join('/')),
    status,
    latencyMs: latency,
    permanent: PERMANENT.has(status),
  }
}

function numberFrom(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : null
}

function nameFrom(text: string | undefined): string {
  const name = scrub(text ?? '')
    .replace(/[^\x20-\x7e]/g, '?')
    .slice(0, MAX_NAME_CHARS)
  return name === '' ? UNKNOWN.vendor : name
}
