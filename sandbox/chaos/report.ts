import type { ChaosPlan } from './plan.ts'
import { spreadOf } from './recovery.ts'
import type { Outcome } from './run.ts'

/** The outcome as people read it. */
export function reportOf(outcome: Outcome, plan: ChaosPlan): string {
  const { judgement, happened, recoveries, growth } = outcome
  const { verdict } = judgement
  const faults = [...Map.groupBy(happened, ({ kind }) => kind)].toSorted(([a], [b]) => (a < b ? -1 : 1))
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
  const lines = [
    `fault                   thrown  struck   every lane delivers again: median, most`,
    ...faults.map(([kind, throws]) => {
      const back = spreadOf(recoveries.find(recovery => recovery.kind === kind)?.ms ?? [])
      const fired = throws.reduce((sum, one) => sum + one.fired, 0)
      const times = `${seconds(back.median).padStart(28)}, ${seconds(back.max)}`
      return `${kind.padEnd(22)} ${String(throws.length).padStart(7)} ${String(fired).padStart(7)} ${times}`
    }),
    '',
    `revisions owed ${verdict.visible}, delivered ${verdict.delivered}, missing ${verdict.missingCount}`,
    `repeats ${judgement.repeats}, of these after a lost answer ${judgement.repeatsExplained}`,
    `late and old from frozen workers ${judgement.staleFromZombies}, taken by the engine ${verdict.staleAccepted}`,
    `latency p50 ${seconds(verdict.latencyMs.p50)}, p99 ${seconds(verdict.latencyMs.p99)}, most ${seconds(verdict.latencyMs.max)}`,
    `memory: most ${Math.round(outcome.rssMaxMiB)} MiB resident, growth ${perHour(growth.rssMiB, 'MiB')}; the ledgers' own ${perHour(growth.ledgerMiB, 'MiB')}`,
    `kept after a full collection, without the ledgers: a poller's growth ${perHour(growth.keptMiB.poller, 'MiB')}, a forwarder's ${perHour(growth.keptMiB.forwarder, 'MiB')}`,
    `handles: ${perHour(growth.handles, '')}`,
    '',
    ...judgement.promises.flatMap(({ name, problems }) => [
      `${problems.length === 0 ? 'holds ' : 'BROKEN'}  ${name}`,
      ...problems.map(problem => `          ${problem}`),
    ]),
    '',
    `seed ${plan.seed}: ${isGood(outcome) ? 'every promise held' : 'a promise was broken'}`,
  ]
  return lines.join('\n')
}

export function isGood({ judgement }: Outcome): boolean {
  return judgement.promises.every(({ problems }) => problems.length === 0)
}

function perHour(value: number | null, unit: string): string {
  return value === null ? 'not measured (too short)' : `${value.toFixed(1)} ${unit} an hour`.replace('  ', ' ')
}
