import { portContract } from '../kafka/port-contract.ts'
import { fakeBroker } from './fakes/publisher.ts'

portContract(async () => {
  const broker = fakeBroker(() => 1_764_000_000_000, { topic: 4 })
  return {
    publisher: broker.publisher(),
    reader: broker.reader(),
    topic: 'topic',
    [Symbol.asyncDispose]: async () => {},
  }
})
