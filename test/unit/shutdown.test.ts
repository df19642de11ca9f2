import { type ChildProcess, spawn } from 'node:child_process'
import path from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'

const root = path.resolve(import.meta.dirname, '../..')
const children: ChildProcess[] = []

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

interface Ended {
  readonly code: number | null
  readonly signal: string | null
  /** Messages of the log, in order. */
  readonly messages: readonly string[]
  readonly text: string
}

interface Worker {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  /** Resolves when the output contains `words`; rejects when the process ends without them. */
  readonly says: (words: string) => Promise<void>
}

/** A process that installs the shutdown with `options` and then runs `body`; it lives until something ends it. */
function startWorker(options: string, body = ''): Worker {
  const code = `
    import { createLog } from './platform/log.ts'
    import { installShutdown } from './platform/shutdown.ts'
    let time = 0
    const log = createLog({ level: 'info', service: 'test' })
    const wait = ms => new Promise(resolve => setTimeout(resolve, ms))
    const forever = new Promise(() => undefined)
    const say = name => ({ name, release: async () => { await wait(5); log.info('released ' + name) } })
    const shutdown = installShutdown({ log, deadlineMs: 9_000, clock: { now: () => (time += 1000) }, ${options} })
    shutdown.signal.addEventListener('abort', () => log.info('aborted'))
    setInterval(() => undefined, 1000)
    ${body}
    log.info('running')
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.push(child)
  let text = ''
  const listeners = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (part: string) => {
      text += part
      for (const listener of listeners) listener()
    })
  }
  const ended = new Promise<Ended>(resolve => {
    child.once('close', (code, signal) => {
      resolve({ code, signal, text, messages: [...text.matchAll(/"msg":"([^"]*)"/g)].map(([, words]) => words ?? '') })
    })
  })
  const says = (words: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (text.includes(words)) resolve()
      }
      listeners.add(look)
      look()
      void ended.then(() => reject(new Error(`ended without saying ${words}: ${text}`)))
    })
  return { child, ended, says }
}

describe('a signal', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s releases everything in order, tells the loops first, and exits with 0',
    async signal => {
      const worker = startWorker(`releasers: [say('intake'), say('group'), say('port')]`)
      await worker.says('running')
      worker.child.kill(signal)
      const { code, messages } = await worker.ended
      expect(messages).toEqual([
        'running',
        'stopping',
        'aborted',
        'released intake',
        'released group',
        'released port',
        'stopped',
      ])
      expect(code).toBe(0)
    },
  )

  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)('a second %s exits at once with %d and names what was waited for', async (signal, exitCode) => {
    const worker = startWorker(
      `releasers: [{ name: 'engine', release: () => { log.info('waiting'); return forever } }, say('port')]`,
    )
    await worker.says('running')
    worker.child.kill('SIGTERM')
    await worker.says('waiting')
    worker.child.kill(signal)
    const { code, messages, text } = await worker.ended
    expect(code).toBe(exitCode)
    expect(messages.at(-1)).toBe('second signal: exiting at once')
    expect(text).toContain('"waitingFor":"engine"')
    expect(messages).not.toContain('released port')
  })

  test('that arrives twice by one press of Ctrl-C counts once', async () => {
    const worker = startWorker(
      `clock: { now: () => 5 }, releasers: [{ name: 'x', release: async () => { log.info('waiting'); await go; log.info('released x') } }]`,
      `let open; var go = new Promise(resolve => { open = resolve }); process.on('SIGINT', () => { if (++time === 2) setTimeout(open, 5) })`,
    )
    await worker.says('running')
    worker.child.kill('SIGINT')
    await worker.says('waiting')
    worker.child.kill('SIGINT')
    const { code, messages } = await worker.ended
    expect(messages).toEqual(['running', 'stopping', 'aborted', 'waiting', 'released x', 'stopped'])
    expect(code).toBe(0)
  })
})

describe('trouble while stopping', () => {
  test('a releaser that fails does not keep the others from being released; the exit code tells', async () => {
    const worker = startWorker(
      `releasers: [{ name: 'group', release: () => { throw new Error('left already') } }, say('port')]`,
    )
    await worker.says('running')
    worker.child.kill('SIGTERM')
    const { code, messages, text } = await worker.ended
    expect(messages).toEqual(['running', 'stopping', 'aborted', 'could not be released', 'released port', 'stopped'])
    expect(text).toContain('"what":"group"')
    expect(code).toBe(1)
  })

  test('past the deadline the process exits with 1 and names what was waited for', async () => {
    const worker = startWorker(`deadlineMs: 50, releasers: [say('intake'), { name: 'engine', release: () => forever }]`)
    await worker.says('running')
    worker.child.kill('SIGTERM')
    const { code, messages, text } = await worker.ended
    expect(messages).toEqual(['running', 'stopping', 'aborted', 'released intake', 'stopping took too long'])
    expect(text).toContain('"deadlineMs":50,"waitingFor":"engine"')
    expect(code).toBe(1)
  })
})

describe('a fault', () => {
  test.each([
    [
      'an uncaught error',
      `setTimeout(() => { throw new TypeError('oops') }, 5)`,
      '"name":"TypeError","message":"oops"',
    ],
    ['an unhandled rejection', `Promise.reject(new RangeError('oops'))`, '"name":"RangeError","message":"oops"'],
    ['a rejection with nothing', `Promise.reject(undefined)`, 'not an error object: undefined'],
  ])('%s is logged with its place and ends the process with 1, without touching anything', async (_, body, words) => {
    const worker = startWorker(`releasers: [say('intake')]`, body)
    const { code, messages, text } = await worker.ended
    expect(messages.filter(message => message !== 'running')).toEqual(['fault: the process ends'])
    expect(text).toContain('"level":"error"')
    expect(text).toContain(words)
    expect(text).toContain('"stack":"at ')
    expect(code).toBe(1)
  })

  test('while stopping ends the stopping', async () => {
    const worker = startWorker(
      `releasers: [{ name: 'x', release: () => { setTimeout(() => { throw new Error('late') }, 1); return forever } }]`,
    )
    await worker.says('running')
    worker.child.kill('SIGTERM')
    const { code, messages } = await worker.ended
    expect(messages.at(-1)).toBe('fault while stopping')
    expect(code).toBe(1)
  })
})

describe('from within', () => {
  test('stop releases in order and exits with 0', async () => {
    const { code, messages } = await startWorker(`releasers: [say('port')]`, `shutdown.stop('demo is over')`).ended
    expect(messages).toEqual(['stopping', 'aborted', 'running', 'released port', 'stopped'])
    expect(code).toBe(0)
  })

  test('what is opened while others are released is released too, and nothing twice', async () => {
    const first = `{ name: 'a', release: () => { log.info('released a'); list.unshift(say('late')) } }`
    const options = `releasers: (globalThis.list = [${first}, say('b')])`
    const { code, messages } = await startWorker(options, `shutdown.stop('enough')`).ended
    expect(messages.filter(words => words.startsWith('released'))).toEqual([
      'released a',
      'released late',
      'released b',
    ])
    expect(code).toBe(0)
  })

  test('fail says why, releases in order and exits with 1', async () => {
    const body = `shutdown.fail('the consumer crashed', new Error('no brokers')); shutdown.stop('again')`
    const { code, messages, text } = await startWorker(`releasers: [say('port')]`, body).ended
    expect(messages).toEqual(['the consumer crashed', 'stopping', 'aborted', 'running', 'released port', 'stopped'])
    expect(text).toContain('no brokers')
    expect(code).toBe(1)
  })
})
