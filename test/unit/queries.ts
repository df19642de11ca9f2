/** What PromQL queries ask for, compared with the catalogue of metrics; for the tests of rules and boards. */
import { instruments, METRIC_PREFIX } from '../../platform/metrics-table.ts'

export interface Selector {
  readonly metric: string
  readonly matchers: readonly { readonly label: string; readonly op: string; readonly value: string }[]
}

export interface Query {
  readonly selectors: readonly Selector[]
  /** Labels of `by`, `on` and the like. */
  readonly groupings: readonly string[]
}

const TOKEN = /\s+|#.*|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[a-zA-Z_][\w:]*|\d[\w.]*|[=!]~|[=!<>]=|[^\s]/g
const GROUPING = new Set(['by', 'without', 'on', 'ignoring', 'group_left', 'group_right'])
const WORDS = new Set([...GROUPING, 'and', 'or', 'unless', 'offset', 'bool', 'inf', 'nan', 'atan2', 'start', 'end'])

/** Throws for what it cannot read, so that nothing escapes the comparison. */
export function readQuery(expr: string): Query {
  const tokens = (expr.match(TOKEN) ?? []).filter(token => !/^\s|^#/.test(token))
  const selectors: Selector[] = []
  const groupings: string[] = []
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at] ?? ''
    const next = tokens[at + 1] ?? ''
    if (GROUPING.has(token) && next === '(') {
      const end = tokens.indexOf(')', at)
      groupings.push(...tokens.slice(at + 2, end).filter(one => one !== ','))
      at = end
    } else if (token === '[') at = tokens.indexOf(']', at)
    else if (token === '{') throw new Error(`a selector without a metric name in ${expr}`)
    else if (/^[a-zA-Z_]/.test(token) && next !== '(' && !WORDS.has(token.toLowerCase()) && !GROUPING.has(next)) {
      const end = next === '{' ? tokens.indexOf('}', at) : at
      selectors.push({ metric: token, matchers: matchersOf(tokens.slice(at + 2, end), expr) })
      at = end
    }
    if (at < 0) throw new Error(`a bracket is not closed in ${expr}`)
  }
  if (selectors.length === 0) throw new Error(`no metric in ${expr}`)
  return { selectors, groupings }
}

function matchersOf(tokens: readonly string[], expr: string): Selector['matchers'] {
  return tokens
    .join(' ')
    .split(' , ')
    .filter(text => text !== '')
    .map(text => {
      const [, label = '', op = '', value = ''] = /^(\w+) (=|!=|=~|!~) ["'](.*)["']$/.exec(text) ?? []
      if (label === '') throw new Error(`cannot read the matcher ${text} in ${expr}`)
      return { label, op, value }
    })
}

/** A label's values, or null where they are not a closed set. */
type Labels = Readonly<Record<string, readonly string[] | null>>

/** What a scrape adds. */
const TARGET: Labels = { job: ['poller', 'forwarder'], instance: null }

/** Series that are not the workers': of Prometheus itself, and of the usual exporter of Kafka's consumer lag. */
const OTHERS: Readonly<Record<string, Labels>> = {
  up: TARGET,
  ALERTS: {
    alertname: null,
    alertstate: ['pending', 'firing'],
    severity: ['page', 'ticket'],
    tenant: null,
    lane: null,
  },
  kafka_consumergroup_lag: { consumergroup: null, topic: null, partition: null },
  kafka_consumergroup_current_offset: { consumergroup: null, topic: null, partition: null },
}

export function isOurs(metric: string): boolean {
  return metric.startsWith(METRIC_PREFIX)
}

const catalogue: ReadonlyMap<string, Labels> = new Map([
  ...Object.entries(OTHERS),
  ...Object.entries(instruments).flatMap(([name, { kind, labels }]): [string, Labels][] => {
    const known = { ...TARGET, ...Object.fromEntries(Object.entries(labels).map(([k, v]) => [k, closedSet(v)])) }
    const full = METRIC_PREFIX + name
    if (kind !== 'histogram') return [[full, known]]
    return [
      [`${full}_bucket`, { ...known, le: null }],
      [`${full}_sum`, known],
      [`${full}_count`, known],
    ]
  }),
])

/** Tenants and lanes are as many as there are. */
function closedSet(values: unknown): readonly string[] | null {
  return Array.isArray(values) && !values.includes('*') ? (values as readonly string[]) : null
}

/** What is wrong with a query; `recorded` are the names that recording rules add, which have no labels. */
export function complaintsOf(expr: string, recorded: ReadonlySet<string> = new Set()): readonly string[] {
  const { selectors, groupings } = readQuery(expr)
  const complaints: string[] = []
  const all = new Set<string>()
  for (const { metric, matchers } of selectors) {
    const labels = catalogue.get(metric) ?? (recorded.has(metric) ? {} : undefined)
    if (labels === undefined) {
      complaints.push(`no metric ${metric}`)
      continue
    }
    for (const label of Object.keys(labels)) all.add(label)
    for (const { label, op, value } of matchers) {
      const known = labels[label]
      if (known === undefined) complaints.push(`${metric} has no label ${label}`)
      else if (known !== null)
        complaints.push(...strangeValues(value, op, known).map(one => `no ${metric}{${label}="${one}"}`))
    }
  }
  complaints.push(...groupings.filter(label => !all.has(label)).map(label => `nothing here has the label ${label}`))
  return complaints
}

/** Variables of a board stand for anything. */
function strangeValues(value: string, op: string, known: readonly string[]): readonly string[] {
  if (value.startsWith('$')) return []
  if (op === '=' || op === '!=') return known.includes(value) ? [] : [value]
  return value.split('|').filter(part => !known.some(one => new RegExp(`^(?:${part})$`).test(one)))
}
