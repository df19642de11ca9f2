import { assert, integer, property } from 'fast-check'
import { expect, test } from 'vitest'
import { parseMetadataResponse, readMetadata, splitAddress, untilReady } from '../../sandbox/kafka/probe.ts'
import { fakeBroker, metadataAnswer } from './sandbox-kafka-broker.ts'

const forever = new AbortController().signal
const ourCorrelationId = 0x50_0c_05

test('a metadata answer gives the cluster and its brokers, however it is cut on the wire', async () => {
  const { address } = await fakeBroker()
  expect(await readMetadata(address, 2_000)).toEqual({
    clusterId: 'cluster',
    brokers: [{ id: 1, address: '127.0.0.1:9092' }],
  })
})

test('a cut or foreign answer is an error, never a view of a cluster', () => {
  const whole = metadataAnswer(ourCorrelationId, [{ id: 1, host: 'a', port: 1 }])
  expect(parseMetadataResponse(whole).brokers).toHaveLength(1)
  // the controller's id and the topics after the cluster's id are not read
  assert(
    property(integer({ min: 0, max: whole.length - 9 }), length => {
      expect(() => parseMetadataResponse(whole.subarray(0, length))).toThrow()
    }),
  )
  expect(() => parseMetadataResponse(metadataAnswer(1, []))).toThrow('not an answer to our request')
})

test('something that accepts and says nothing, hangs up or talks HTTP is not a broker', async () => {
  const silent = await fakeBroker(() => {})
  await expect(readMetadata(silent.address, 100)).rejects.toThrow('no answer within 100 ms')
  const rude = await fakeBroker(socket => void socket.end())
  await expect(readMetadata(rude.address, 2_000)).rejects.toThrow('closed without an answer')
  const web = await fakeBroker(socket => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  await expect(readMetadata(web.address, 2_000)).rejects.toThrow('the answer is not Kafka')
})

test('an address is host:port with a port that exists', () => {
  expect(splitAddress('kafka-1:9092')).toEqual({ host: 'kafka-1', port: 9092 })
  expect(splitAddress('[::1]:9092')).toEqual({ host: '::1', port: 9092 })
  for (const wrong of ['kafka', 'kafka:', ':9092', 'kafka:0', 'kafka:70000', 'http://kafka:9092']) {
    expect(() => splitAddress(wrong), wrong).toThrow('is not host:port')
  }
})

test('waiting ends with readiness, with the words of the dead, at the limit, or with the abort', async () => {
  let checks = 0
  const third = async () => (++checks < 3 ? 'not yet' : undefined)
  await untilReady(third, { what: 'it', timeoutMs: 10_000, signal: forever })
  expect(checks).toBe(3)

  const refuses = () => Promise.reject(new Error('connection refused'))
  const limits = { what: 'broker 1', timeoutMs: 0, signal: forever }
  await expect(untilReady(refuses, limits)).rejects.toThrow('broker 1 is not ready after 0 s: connection refused')
  const dead = () => Promise.resolve('exit 1\nAddress in use')
  await expect(untilReady(refuses, { ...limits, timeoutMs: 10_000, dead })).rejects.toThrow(
    /ended before.*exit 1\nAddress/,
  )
  const aborted = AbortSignal.abort(new Error('stopped'))
  await expect(untilReady(refuses, { ...limits, timeoutMs: 10_000, signal: aborted })).rejects.toThrow('stopped')
})
