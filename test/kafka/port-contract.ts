/** What producers, consumers and the command line rely on of the Kafka port. One suite: for the fake and for a real broker. */
import { expect, test } from 'vitest'
import type { Appender, OutRecord } from '../../platform/kafka/producer.ts'
import type { LogRecord } from '../../platform/kafka/queue.ts'
import type { LogReader } from '../../platform/kafka/reader.ts'
import { TransientError } from '../../platform/retry.ts'

export interface Port extends AsyncDisposable {
  readonly publisher: Appender
  readonly reader: LogReader
  /** A topic of 4 partitions that nobody else uses. */
  readonly topic: string
}

const END = Number.MAX_SAFE_INTEGER

function records(...keys: readonly string[]): OutRecord[] {
  return keys.map(key => ({ key, value: Buffer.from(`value of ${key}`) }))
}

async function all(reader: LogReader, topic: string, partition: number, from = 0, to = END): Promise<LogRecord[]> {
  const found: LogRecord[] = []
  for await (const batch of reader.read(topic, partition, from, to)) {
    expect(batch.length).toBeGreaterThan(0)
    found.push(...batch)
  }
  return found
}

const keysOf = (found: readonly LogRecord[]): (string | undefined)[] => found.map(({ key }) => key?.toString())

export function portContract(open: () => Promise<Port>): void {
  test('what was appended is read back, byte for byte, in order, with the offsets that were answered', async () => {
    await using port = await open()
    const { publisher, reader, topic } = port
    expect(await publisher.append(topic, 1, records('a', 'b'))).toBe(0)
    expect(await publisher.append(topic, 1, records('c'))).toBe(2)
    const found = await all(reader, topic, 1)
    expect(keysOf(found)).toEqual(['a', 'b', 'c'])
    expect(found.map(({ offset }) => offset)).toEqual([0, 1, 2])
    expect(found.map(({ value }) => value?.toString())).toEqual(['value of a', 'value of b', 'value of c'])
    for (const { timestampMs } of found) expect(timestampMs).toBeGreaterThan(0)
  })

  test('partitions are separate', async () => {
    await using port = await open()
    const { publisher, reader, topic } = port
    await publisher.append(topic, 0, records('a'))
    await publisher.append(topic, 3, records('b'))
    expect(keysOf(await all(reader, topic, 0))).toEqual(['a'])
    expect(keysOf(await all(reader, topic, 3))).toEqual(['b'])
    expect(await all(reader, topic, 2)).toEqual([])
  })

  test('a tombstone has a key and no value; any text is a key, any bytes are a value', async () => {
    await using port = await open()
    const { publisher, reader, topic } = port
    const odd = 'ü/\u2028"\n\0 🔥'
    const bytes = Buffer.from([0, 255, 0xed, 0xa0, 0x80, 0])
    await publisher.append(topic, 0, [
      { key: odd, value: bytes },
      { key: 'gone', value: null },
      { key: 'empty', value: Buffer.alloc(0) },
    ])
    const found = await all(reader, topic, 0)
    expect(found[0]?.key?.toString()).toBe(odd)
    expect(found[0]?.value?.equals(bytes)).toBe(true)
    expect(found.map(({ value }) => value === null)).toEqual([false, true, false])
  })

  test('a range begins where it says, ends before its end, and at the end of the log', async () => {
    await using port = await open()
    const { publisher, reader, topic } = port
    await publisher.append(topic, 0, records('a', 'b', 'c', 'd', 'e'))
    expect(keysOf(await all(reader, topic, 0, 1, 3))).toEqual(['b', 'c'])
    expect(keysOf(await all(reader, topic, 0, 4, 100))).toEqual(['e'])
    expect(await all(reader, topic, 0, 5, 100)).toEqual([])
    expect(await all(reader, topic, 0, 2, 2)).toEqual([])
  })

  test('a reader goes on where it stopped, and sees what came since', async () => {
    await using port = await open()
    const { publisher, reader, topic } = port
    await publisher.append(topic, 0, records('a', 'b'))
    const first = await all(reader, topic, 0)
    await publisher.append(topic, 0, records('c'))
    expect(keysOf(await all(reader, topic, 0, (first.at(-1)?.offset ?? 0) + 1))).toEqual(['c'])
  })

  test('many records and large ones: all of them, once', async () => {
    await using port = await open()
    const { publisher, reader, topic } = port
    const large = Buffer.alloc(700_000, 'x')
    for (let n = 0; n < 30; n++) await publisher.append(topic, 0, [{ key: `k${n}`, value: large }])
    const found = await all(reader, topic, 0)
    expect(keysOf(found)).toEqual(Array.from({ length: 30 }, (_, n) => `k${n}`))
    expect(found.every(({ value }) => value?.equals(large))).toBe(true)
  })

  test('what nobody has is a failure that may pass, and is not made by asking', async () => {
    await using port = await open()
    const { publisher, topic } = port
    await expect(publisher.append(topic, 99, records('a'))).rejects.toThrow(TransientError)
    await expect(publisher.append(`${topic}-nowhere`, 0, records('a'))).rejects.toThrow(TransientError)
    await expect(publisher.append(`${topic}-nowhere`, 0, records('a'))).rejects.toThrow(TransientError)
  })
}
