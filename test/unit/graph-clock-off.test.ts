/** How far our clock is off is told from the very answer that refuses a token. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../platform/clock.ts'
import { checkTenant } from '../../producers/graph/check.ts'
import type { TenantAccess } from '../../producers/graph/clouds.ts'
import { entraError, jwt, never, type Reply, rig, selfSigned, startServer } from './graph-rig.ts'

type Kind = TenantAccess['credential']['kind']

/** A tenant that Entra refuses like this, `minutes` before (negative: after) our time. */
async function refused(kind: Kind, minutes: number | null, [number, error]: readonly [number, string]) {
  const reply = (): Reply => {
    const date = new Date(Date.now() - (minutes ?? 0) * 60_000).toUTCString()
    const { body, status } = Object(entraError(401, number, error)) as { body: string; status: number }
    return minutes === null
      ? (response, request) => {
          request.resume()
          response.sendDate = false
          response.writeHead(status, { 'content-type': 'application/json' }).end(body)
        }
      : { status, body, headers: { date } }
  }
  await using server = await startServer({ token: reply })
  await using one = await rig(server.url)
  const { graph, secretsDir } = one
  const { key, certificate } = selfSigned()
  const exp = Math.floor(Date.now() / 1_000) + 3_600
  const content: Record<Kind, string> = {
    secretFile: 'some-secret',
    certificateFile: key + certificate,
    federatedTokenFile: jwt({ iss: 'https://cluster.example', exp }),
  }
  await writeFile(join(secretsDir, 'credential'), content[kind])
  const access: TenantAccess = { ...one.access, credential: { kind, file: 'credential' } }
  const polled = await graph.now(access, never)
  const deps = { graph: { ...graph, secretEnds: async () => null }, secretsDir, clock: systemClock, signal: never }
  const check = await checkTenant(access, deps)
  return { check, polled, step: check.steps[1]?.words ?? '' }
}

const TIME = [700024, 'invalid_client'] as const
const OTHER = [700027, 'invalid_client'] as const

describe('a signed request that is refused for its time', () => {
  test.each([
    [20, "20 minutes ahead of Entra's"],
    [-20, "20 minutes behind Entra's"],
    [1, "1 minute ahead of Entra's"],
  ])('tells a clock that is %i minutes ahead, and that the operator sets it right', async (minutes, words) => {
    const { check, polled } = await refused('certificateFile', minutes, TIME)
    expect(check).toMatchObject({ verdict: 'fix', problem: { code: 'AADSTS700024', move: 'operator' } })
    expect(check.words).toContain(`the clock of this machine is ${words}, and the operator must set it right (NTP)`)
    expect(Math.round((check.skewMs ?? 0) / 60_000)).toBe(-minutes)
    // what a poller writes down
    expect(polled).toMatchObject({ kind: 'needs-attention', problem: { words: check.words, move: 'operator' } })
  })

  test('blames no clock that is right, or is not known to be wrong', async () => {
    for (const minutes of [0, null]) {
      const { check } = await refused('certificateFile', minutes, TIME)
      expect(check.words).not.toMatch(/NTP/)
      expect(check.words).toMatch(/outside its time/)
    }
  })

  test('keeps it open whether a federated token is too old or the clock is wrong', async () => {
    const { check } = await refused('federatedTokenFile', 20, TIME)
    expect(check.words).toMatch(/have the token written anew.*20 minutes ahead of Entra's.*NTP/)
    expect(check.problem?.move).toBe('operator')
  })
})

test('another refusal keeps its words and its move, and the clock is told beside it', async () => {
  const { check, step } = await refused('certificateFile', 20, OTHER)
  expect(check.problem?.move).toBe('customer')
  expect(check.words).not.toMatch(/clock/)
  expect(step).toMatch(/Besides, the clock of this machine is 20 minutes ahead of Entra's/)
  expect((await refused('secretFile', 0, OTHER)).step).not.toMatch(/clock/)
})
