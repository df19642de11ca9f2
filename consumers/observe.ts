import type { LaneObserver } from '../platform/kafka/lanes.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/metrics.ts'
import type { EngineAnswer } from './engine/answer.ts'
import type { CircuitState } from './engine/circuit.ts'
import type { ForwarderObserver } from './lane.ts'
import { LEDGER_ENTRIES_PLANNED } from './ledger.ts'

const CIRCUIT_STATES: readonly CircuitState[] = ['closed', 'half-open', 'open']

export function forwarderObserver(metrics: Metrics): ForwarderObserver {
  const ledgers = new Map<number, { entries: number; bytes: number }>()
  const stopped = new Set<number>()
  metrics.gauge('ledger_entries', () => [...ledgers.values()].reduce((sum, { entries }) => sum + entries, 0))
  metrics.gauge('ledger_bytes', () => [...ledgers.values()].reduce((sum, { bytes }) => sum + bytes, 0))
  metrics.gauge('ledger_headroom_ratio', () => {
    if (ledgers.size === 0) return null
    const fullest = Math.max(...[...ledgers.values()].map(({ entries }) => entries))
    return Math.max(0, 1 - fullest / LEDGER_ENTRIES_PLANNED)
  })
  metrics.gauge('lanes_stopped', () => stopped.size)
  return {
    settled(fates) {
      metrics.count('records_seen_total', {}, fates.length)
      const counts = { delivered: 0, duplicate: 0, stale: 0, parked: 0 }
      for (const fate of fates) {
        switch (fate.kind) {
          case 'delivered':
            counts.delivered++
            break
          case 'dropped':
            counts[fate.why]++
            break
          case 'park':
          case 'parked-before':
            counts.parked++
        }
      }
      for (const fate of ['delivered', 'duplicate', 'stale', 'parked'] as const) {
        if (counts[fate] > 0) metrics.count('records_settled_total', { fate }, counts[fate])
      }
    },
    parked: reason => metrics.count('records_parked_total', { reason }),
    accepted(latencyMs, sincePolledMs) {
      metrics.observe('visible_to_accepted_seconds', {}, Math.max(0, latencyMs) / 1000)
      metrics.observe('polled_to_accepted_seconds', {}, Math.max(0, sincePolledMs) / 1000)
    },
    ledger: (lane, entries, bytes) => void ledgers.set(lane, { entries, bytes }),
    closed(lane) {
      ledgers.delete(lane)
      stopped.delete(lane)
    },
    stopped: (lane, isStopped) => void (isStopped ? stopped.add(lane) : stopped.delete(lane)),
    returned: records => metrics.count('alerts_published_total', { origin: 'retry' }, records),
  }
}

export function engineObserver(
  metrics: Metrics,
  log: Log,
): {
  attempt(outcome: EngineAnswer['kind'], durationMs: number, items: number): void
  circuit(state: CircuitState, problem: string | null): void
} {
  let current: CircuitState = 'closed'
  metrics.gauge('engine_circuit', () =>
    CIRCUIT_STATES.map(state => ({ labels: { state }, value: state === current ? 1 : 0 })),
  )
  return {
    attempt(outcome, durationMs) {
      metrics.count('engine_attempts_total', { outcome })
      metrics.observe('engine_request_duration_seconds', {}, durationMs / 1000)
    },
    circuit(state, problem) {
      current = state
      if (state === 'open') log.error('the circuit to the engine is open; records wait, nothing is lost', { problem })
      else log.info('the circuit to the engine changed', { state })
    },
  }
}

export function watchLanes(metrics: Metrics, log: Log): LaneObserver {
  return {
    restored(lane, durationMs, records) {
      metrics.observe('lane_restore_duration_seconds', {}, durationMs / 1000)
      log.debug('lane restored', { lane, records, durationMs: Math.round(durationMs) })
    },
    rebalanced(owned) {
      metrics.count('group_joins_total', {})
      log.debug('lanes given', { owned })
    },
    lostToRetention(lane, from, to) {
      metrics.count('records_lost_to_retention_total', {}, to - from)
      log.error('retention deleted records before they were forwarded; sweep the tenants of the lane', {
        lane,
        from,
        to,
      })
    },
  }
}
