import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runSocos } from '../../cli/run.ts'

let dir = ''

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tenants-refused-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

test.each(['check', 'apply'])(
  '`tenants %s` of a file that lists nobody is refused before anything is asked',
  async verb => {
    const file = join(dir, 'tenants.yaml')
    await writeFile(file, 'tenants: []\n')
    let [out, err] = ['', '']
    const io = {
      // nobody listens there: whoever asks is told so, with another exit code
      env: { SECRETS_DIR: dir, KAFKA_BROKERS: '127.0.0.1:1', SCHEMA_REGISTRY_URL: 'http://127.0.0.1:1' },
      out: (text: string) => void (out += text),
      say: (text: string) => void (err += text),
      isErrTty: false,
    }
    expect(await runSocos(['node', 'socos', 'tenants', verb, file], io)).toBe(2)
    expect(out).toBe('')
    expect(err).toContain('lists no tenant, so there is nothing to do: put the tenants below `tenants:`')
    expect(err).toContain('`socos tenants remove`')
  },
)
