import { expect, test } from 'vitest'
import {
  clusterProperties,
  newClusterId,
  nodeProperties,
  toEnvironment,
  toPropertiesFile,
} from '../../sandbox/kafka/settings.ts'

test('one broker needs no second one for anything internal', () => {
  const copies = Object.entries(clusterProperties(1)).filter(([name]) =>
    /replication\.factor|min\.isr|insync/.test(name),
  )
  expect(copies.length).toBeGreaterThan(5)
  expect(copies.every(([, value]) => value === '1')).toBe(true)
})

test('three brokers keep three copies of everything and need two', () => {
  const properties = Object.entries(clusterProperties(3))
  expect(properties.filter(([name]) => name.endsWith('replication.factor')).map(([, value]) => value)).toEqual(
    Array.from({ length: 4 }, () => '3'),
  )
  expect(properties.filter(([name]) => /min\.isr|min\.insync/.test(name)).map(([, value]) => value)).toEqual([
    '2',
    '2',
    '2',
  ])
})

test('topics are never made by accident, and a replica can carry the largest message', () => {
  const properties = clusterProperties(3)
  expect(properties['auto.create.topics.enable']).toBe('false')
  expect(Number(properties['replica.fetch.max.bytes'])).toBeGreaterThanOrEqual(Number(properties['message.max.bytes']))
})

test('a node announces its client listeners and keeps the controller to itself', () => {
  const properties = nodeProperties({
    id: 2,
    voters: '1@a:1,2@b:2',
    between: 'INTERNAL',
    listeners: {
      PLAINTEXT: { bind: ':9092', announce: '127.0.0.1:20001' },
      INTERNAL: { bind: ':19092', announce: 'kafka-2:19092' },
      CONTROLLER: { bind: ':9093' },
    },
    dataDir: '/data',
  })
  expect(properties).toMatchObject({
    'node.id': '2',
    listeners: 'PLAINTEXT://:9092,INTERNAL://:19092,CONTROLLER://:9093',
    'advertised.listeners': 'PLAINTEXT://127.0.0.1:20001,INTERNAL://kafka-2:19092',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT',
  })
})

test("properties take the form of Apache's image and of a properties file", () => {
  expect(toEnvironment({ 'log.dirs': '/d', 'my-opt_x': '1' })).toEqual({ KAFKA_LOG_DIRS: '/d', KAFKA_MY___OPT__X: '1' })
  expect(toPropertiesFile({ 'log.dirs': 'C:\\data', 'node.id': '1' })).toBe('log.dirs=C:\\\\data\nnode.id=1\n')
})

test('a cluster id is 22 characters and no option to a command', () => {
  for (let i = 0; i < 200; i++) expect(newClusterId()).toMatch(/^[A-Za-z0-9][A-Za-z0-9_-]{21}$/)
})
