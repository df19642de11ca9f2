import { hex, seededRandom } from './chance.ts'

/**
 * Alerts as an attacker, a careless provider or a newer Graph may write them: still valid JSON, still to be delivered
 * byte for byte. Which trick an alert plays is a function of its seed.
 */
type Members = Record<string, unknown>

const BAD_TEXT =
  'CR\r\nLF {"level":"error","msg":"forged"}\u001b[31mred\u001b[0m \u0000 NUL \u2028\u2029 \u202Ertl %s %d ${jndi:ldap://x} \u0085\uFEFF\uFFFD \uD83D lone'
const FAKE_STRUCTURE =
  '"]},{"id":"forged","tenantId":"00000000-0000-0000-0000-000000000000"}],"@odata.nextLink":"http://x/\\'
const LARGE_TEXT_CHARS = 120_000
const NESTING = 40

const TRICKS: readonly [(members: Members) => string, ...((members: Members) => string)[]] = [
  members => JSON.stringify({ ...members, title: BAD_TEXT, description: `${BAD_TEXT}${BAD_TEXT}` }),
  members =>
    prefixed(members, '"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"toString":null'),
  // the members that follow are the true ones: the last of a name counts, as in JSON.parse
  members =>
    prefixed(
      members,
      '"id":"first-id-is-a-lie","lastUpdateDateTime":"2001-01-01T00:00:00Z","lastModifiedDateTime":"2001-01-01T00:00:00Z","title":"twice","severity":"high"',
    ),
  members =>
    prefixed(
      members,
      '"exact":9007199254740993,"negative":-9223372036854775808,"huge":1e400,"tiny":0.1000000000000000055511151231257827,"zero":-0.0E+00',
    ),
  members => prefixed(members, `"deep":${'[{"a":'.repeat(NESTING / 2)}1${'}]'.repeat(NESTING / 2)}`),
  // ids of this trick come from hostileId; here they are written with escapes that only a JSON reader undoes
  members =>
    JSON.stringify(members)
      .replaceAll('/', '\\/')
      .replace('"id":"', '"id":"\\u006f\\u0064\\u0064')
      .replace('\\u0064odd', '\\u0064'),
  members => JSON.stringify(members, null, 2).replaceAll('\n', '\r\n'),
  members =>
    JSON.stringify({
      ...members,
      status: 'reopenedByCopilot',
      serviceSource: 'microsoftDefenderForTheMoon',
      tenantId: typeof members.tenantId === 'string' ? members.tenantId.toUpperCase() : undefined,
      evidence: [{ '@odata.type': '#microsoft.graph.security.satelliteEvidence', orbit: { km: 550.25 } }],
      futureMember: [[], {}, [null]],
    }),
  members => JSON.stringify({ ...members, description: 'ä\\"{['.repeat(LARGE_TEXT_CHARS / 6) }),
  members =>
    JSON.stringify({
      value: [{ id: 'inner' }],
      '@odata.nextLink': 'http://x.example/next',
      ...members,
      title: FAKE_STRUCTURE,
    }),
]

function prefixed(members: Members, text: string): string {
  return `{${text},${JSON.stringify(members).slice(1)}`
}

export function renderHostile(members: Members, seed: number): string {
  return (TRICKS[seed % TRICKS.length] ?? TRICKS[0])(members)
}

/** Ids that break paths, keys, logs and assumptions; every trick but the sixth keeps an ordinary one. */
export function hostileId(ordinary: string, seed: number): string {
  if (seed % TRICKS.length !== 5) return ordinary
  const unique = hex(seededRandom(seed), 12)
  const odd = [
    `odd/../${unique}//..%2F%00?x=1#y`,
    `odd ${unique}\u2028line\u2029 "quoted" \\back `,
    `odd-${unique}-${'x'.repeat(300)}`,
    `odd-${unique}-ключ-鍵-🔑-\r\n-\u0000`,
    `odd:__proto__:${unique}`,
  ]
  return odd[Math.floor(seed / TRICKS.length) % odd.length] ?? ordinary
}
