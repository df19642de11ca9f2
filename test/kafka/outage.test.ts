import { expect, test, vi } from 'vitest'
import { kafkaClient } from '../../platform/kafka/client.ts'
import { expectWholeOwnership, laneGround } from './lanes-kit.ts'
import { brokerAccess, silentLog } from './lanes-recording.ts'
import { ownStack } from './own-stack.ts'

const HOUR_MS = 3_600_000
const PATIENCE = { timeout: 60_000, interval: 50 }

test('a member is alive as long as it tries to reach brokers that are away, and not when it neither hears nor tries', async () => {
  await using stack = await ownStack()
  await using ground = await laneGround({ name: 'outage', brokers: stack.brokers })
  let aheadMs = 0
  const uptimeMs = () => performance.now() + aheadMs
  const kafka = kafkaClient(brokerAccess(stack.brokers, 'a'), silentLog())
  const member = await ground.join('a', { kafka, uptimeMs })
  await vi.waitFor(() => expectWholeOwnership([member], ground.lanes), PATIENCE)
  const [node] = stack.nodes
  if (!node) throw new Error('a started stack has nodes')

  await node.kill()
  for (const _ of ['first', 'second', 'third']) {
    aheadMs += HOUR_MS // nothing was heard of Kafka since
    await vi.waitFor(() => expect(member.group.alive()).toBe(true), PATIENCE)
  }
  expect(member.fatal).toEqual([])

  await node.start()
  await ground.fill('stream', 3)
  await vi.waitFor(async () => expect(await ground.committed()).toEqual([3, 3, 3, 3]), PATIENCE)

  await member.stop()
  member.group.alive() // it did try since it was asked last
  aheadMs += HOUR_MS
  expect(member.group.alive()).toBe(false)
})
