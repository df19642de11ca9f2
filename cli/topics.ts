import { systemClock, systemRandom } from '../platform/clock.ts'
import type { TopicDifference } from '../platform/kafka/topics.ts'
import { applyTopics, diffTopics, existingTopics } from '../platform/kafka/topics.ts'
import { laneCount, wantedTopics } from '../platform/worker.ts'
import type { Connection } from './connect.ts'
import { withConnection } from './connect.ts'
import type { Io } from './io.ts'
import { EXIT } from './io.ts'

/** Creates what is missing and sets what differs; prints every change, and what it may not change. */
export function applyTopicTable(io: Io): Promise<number> {
  return withConnection(io, ['kafkaBrokers'], async connection => {
    const lanes = await intendedLanes(connection)
    const { changed, left } = await applyTopics(await connection.admin(), wantedTopics(connection.topic, lanes), {
      clock: systemClock,
      random: systemRandom,
      crash: connection.crash,
    })
    for (const { topic, what } of changed) {
      io.out(what === 'does not exist' ? `created ${topic}\n` : `changed ${topic}: ${what}\n`)
    }
    if (changed.length === 0 && left.length === 0) io.out('the topics are as they must be\n')
    return report(io, left)
  })
}

/** Prints every difference between the table and the cluster. */
export function checkTopicTable(io: Io): Promise<number> {
  return withConnection(io, ['kafkaBrokers'], async connection => {
    const lanes = await intendedLanes(connection)
    const differences = await diffTopics(await connection.admin(), wantedTopics(connection.topic, lanes))
    if (differences.length === 0) io.out('the topics are as they must be\n')
    return report(io, differences)
  })
}

function report(io: Io, differences: readonly TopicDifference[]): number {
  for (const { topic, what, fatal } of differences) io.out(`${topic} ${what}${fatal ? ' (workers refuse it)' : ''}\n`)
  return differences.length > 0 ? EXIT.problem : EXIT.ok
}

/** LANES counts only when the topics are made; after that the deployment's own number does. */
async function intendedLanes(connection: Connection): Promise<number> {
  const { settings, topic } = connection
  const admin = await connection.admin()
  const existing = await existingTopics(admin, [topic('alerts')])
  return existing.has(topic('alerts')) ? laneCount(admin, topic('alerts')) : settings.lanes
}
