import { readdir } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { seededRandom } from '../graph/chance.ts'
import { scrape, sumOf } from '../demo/figures.ts'
import { type Role, socos } from '../crew.ts'
import { FAULT_KINDS, FAULTS, type FaultKind, OF_PROCESSES, type Struck, type Track } from './faults.ts'
import { PACE } from './pace.ts'
import { type ChaosPlan, type Planned, schedule } from './plan.ts'
import { readBack } from './readback.ts'
import { growthPerHour, recoveries, type Recovery, type Sample } from './recovery.ts'
import type { Site } from './site.ts'
import { type Judgement, judgeRun, type Row } from './verdict.ts'

export interface ChaosRun {
  readonly plan: ChaosPlan
  readonly site: Site
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

interface Happened extends Planned, Struck {
  /** Host time of its first moment. */
  readonly startedMs: number
}

/** An hour. */
interface Growth {
  readonly rssMiB: number | null
  readonly ledgerMiB: number | null
  readonly handles: number | null
  readonly keptMiB: Readonly<Record<Role, number | null>>
}

export interface Outcome {
  readonly judgement: Judgement
  readonly happened: readonly Happened[]
  readonly recoveries: readonly Recovery[]
  readonly alerts: number
  readonly accepted: number
  readonly rssMaxMiB: number
  readonly growth: Growth
}

const MIB = 1_048_576
const SAMPLE_EVERY_MS = 2_000
/** Until heap and caches have the size that they keep. */
const WARM_MS = 300_000
/** From here on growth is a question, and a life that ends after some minutes cannot answer it. */
const LONG_MINUTES = 30
const MUST_SEE_MS = 30_000
/** After these another worker goes on with a lane whose last answers nobody has written down. */
const BREAKS: ReadonlySet<FaultKind> = new Set([
  'kill-forwarder',
  'freeze-forwarder',
  'kill-broker',
  'pause-broker',
  'disk-full',
  'black-hole',
  'cut',
  'half-close',
  'latency',
  'bandwidth',
  'lose-heartbeat',
  'lose-fetch',
  'lose-produce',
  'lose-commit',
  'slow-produce',
])

export async function runChaos(it: ChaosRun): Promise<Outcome> {
  const { plan, site, say, signal } = it
  const canFill = site.stack.nodes.every(node => node.fillDisk !== undefined)
  const kinds = plan.faults ?? FAULT_KINDS.filter(kind => canFill || !OF_PROCESSES.includes(kind))
  if (kinds.length < FAULT_KINDS.length && plan.faults === undefined) {
    say(`!!! left out, for they need brokers that are processes (--stack jvm): ${OF_PROCESSES.join(', ')} !!!`)
  }
  const planned = schedule(plan, kinds, seededRandom(plan.seed))
  for (const role of ['poller', 'forwarder'] as const) {
    for (let place = 0; place < plan[`${role}s`]; place++) await site.start(role)
  }
  await Promise.all([...site.running('poller'), ...site.running('forwarder')].map(worker => site.ready(worker)))
  if (plan.minutes >= LONG_MINUTES) {
    for (const role of ['poller', 'forwarder'] as const) {
      const [first, ...others] = site.running(role)
      if (first && others.length > 0) site.spared.add(first.name)
    }
    say(`no fault ends ${[...site.spared].join(' or ')}: their memory is watched over the whole run`)
  }
  say(`${plan.pollers} pollers and ${plan.forwarders} forwarders are ready; ${planned.length} faults are planned`)

  site.graph.load.plan.ratePerSecond = plan.rate
  site.graph.load.plan.updateShare = PACE.updateShare
  site.graph.load.start()
  const samples: Sample[] = []
  const sampling = new AbortController()
  const sampled = sampleUntil(site, samples, AbortSignal.any([signal, sampling.signal]))
  const happened = await strike(it, planned)

  site.graph.load.freeze()
  say('all faults are healed, no new alerts come; waiting until nothing is owed')
  const rows = await quiet(it)
  sampling.abort()
  await sampled
  say('reading the topics back with the tools of Kafka')
  const log = await readBack(site.tool, site.topicPrefix)
  const evidence = { graph: site.graph.ledger, engine: site.engine.ledger }
  return {
    judgement: judgeRun({
      ...evidence,
      log,
      rows,
      mustSeeMs: MUST_SEE_MS,
      senderName: sender => site.senderName(sender),
      zombies: site.zombies,
      breaks: happened.filter(({ kind }) => BREAKS.has(kind)).length,
      // one request of each lane at most was under way
      repeatsPerBreak: Math.max(0, ...site.engine.ledger.requests.map(({ items }) => items)) * PACE.lanes,
      complaints: [...site.complaints, ...neverStruck(happened)],
    }),
    happened,
    recoveries: recoveries(
      happened.map(({ kind, startedMs }) => ({ kind, atMs: startedMs })),
      evidence,
      PACE.lanes,
    ),
    alerts: site.graph.ledger.revisions.length,
    accepted: site.engine.ledger.counters.accepted,
    rssMaxMiB: samples.reduce((most, { rssMiB }) => Math.max(most, rssMiB), 0),
    growth: {
      rssMiB: growthPerHour(samples, ({ rssMiB }) => rssMiB, WARM_MS),
      ledgerMiB: growthPerHour(samples.filter(isOf('forwarder')), ({ ledgerMiB }) => ledgerMiB, WARM_MS),
      handles: growthPerHour(samples, ({ handles }) => handles, WARM_MS),
      keptMiB: {
        poller: growthPerHour(samples.filter(isOf('poller')), ({ keptMiB }) => keptMiB, WARM_MS),
        forwarder: growthPerHour(samples.filter(isOf('forwarder')), ({ keptMiB }) => keptMiB, WARM_MS),
      },
    },
  }
}

function isOf(role: Role): (sample: Sample) => boolean {
  return ({ worker }) => worker.startsWith(role)
}

/** Injects what is planned, each track by itself: one that is still busy lets the next of its kind wait. */
async function strike({ site, say, signal }: ChaosRun, planned: readonly Planned[]): Promise<Happened[]> {
  const startMs = Date.now()
  const tracks = new Map<Track, Promise<void>>()
  const happened: Happened[] = []
  const failures: unknown[] = []
  for (const one of planned) {
    await delay(Math.max(0, startMs + one.atMs - Date.now()), undefined, { signal })
    if (failures.length > 0) break
    const { track, inject } = FAULTS[one.kind]
    const before = tracks.get(track) ?? Promise.resolve()
    tracks.set(
      track,
      before.then(async () => {
        if (signal.aborted || failures.length > 0) return
        const startedMs = Date.now()
        try {
          const struck = await inject(site, { random: seededRandom(one.seed), lastsMs: one.lastsMs })
          happened.push({ ...one, ...struck, startedMs })
          const seconds = ((startedMs - startMs) / 1000).toFixed(1)
          const lasted = ((Date.now() - startedMs) / 1000).toFixed(1)
          say(
            `${seconds.padStart(7)} s  ${one.kind.padEnd(22)} ${lasted.padStart(5)} s  struck ${struck.fired}: ${struck.what}`,
          )
        } catch (error) {
          failures.push(error)
        }
      }),
    )
  }
  await Promise.all(tracks.values())
  signal.throwIfAborted()
  if (failures.length > 0) throw failures[0]
  return happened.toSorted((a, b) => a.startedMs - b.startedMs)
}

/** A kind whose every throw missed proves nothing. */
function neverStruck(happened: readonly Happened[]): string[] {
  return [...Map.groupBy(happened, ({ kind }) => kind)].flatMap(([kind, throws]) =>
    throws.every(({ fired }) => fired === 0)
      ? [`the fault ${kind} was thrown ${throws.length} times and never struck`]
      : [],
  )
}

/**
 * Until every tenant was polled once more, nothing waits and nothing comes, or the patience ends; what is missing then is
 * the verdict's business.
 */
async function quiet({ site, signal }: ChaosRun): Promise<readonly Row[]> {
  const deadline = Date.now() + PACE.quietSeconds * 1000
  await Promise.all([...site.running('poller'), ...site.running('forwarder')].map(worker => site.ready(worker)))
  // all that there is can be seen by then
  const seenAfterMs = Date.now() + PACE.lagMs + PACE.pollIntervalSeconds * 1000
  let before = ''
  for (;;) {
    const text = await socos(['status', '-o', 'json'], site.env, signal)
    const { tenants: rows } = JSON.parse(text) as { readonly tenants: readonly Row[] }
    const isDone = rows.every(
      ({ counts, state, lastPoll }) =>
        counts.waiting === 0 && state === 'ok' && lastPoll !== null && Date.parse(lastPoll) > seenAfterMs,
    )
    const now = JSON.stringify(rows.map(({ counts }) => counts))
    if ((isDone && now === before) || Date.now() > deadline) return rows
    before = now
    // two poll intervals: what Graph showed last has been asked for by then
    await delay(PACE.pollIntervalSeconds * 2_000, undefined, { signal })
  }
}

async function sampleUntil(site: Site, samples: Sample[], signal: AbortSignal): Promise<void> {
  const startedMs = new Map<string, number>()
  while (!signal.aborted) {
    for (const worker of site.crew.workers) {
      if (!worker.running || site.zombies.has(worker.name)) continue
      const text = await scrape(worker.url)
      if (text === null) continue
      if (!startedMs.has(worker.name)) startedMs.set(worker.name, Date.now())
      const kept = await site.kept(worker)
      const ledger = sumOf(text, 'socos_ledger_bytes')
      samples.push({
        worker: worker.name,
        ageMs: Date.now() - (startedMs.get(worker.name) ?? 0),
        rssMiB: sumOf(text, 'socos_process_resident_memory_bytes') / MIB,
        keptMiB: kept === null ? null : (kept - ledger) / MIB,
        ledgerMiB: ledger / MIB,
        handles: await handlesOf(worker.pid),
      })
    }
    await delay(SAMPLE_EVERY_MS, undefined, { signal }).catch(() => {})
  }
}

/** Open files and sockets, where the system tells. */
async function handlesOf(pid: number): Promise<number | null> {
  try {
    return (await readdir(`/proc/${pid}/fd`)).length
  } catch {
    return null
  }
}
