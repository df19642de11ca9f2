/** Longer than the rule: alerts, their tests and their runbooks are compared in both directions, a promise each. */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { program } from '../../cli/commands.ts'
import type { Rule } from '../../k8s/observability/generate.ts'
import {
  groupsOf,
  PROMETHEUS_RULE,
  prometheusRule,
  RULES,
  RUNBOOKS,
  withAlertTable,
  withRunbookBase,
} from '../../k8s/observability/generate.ts'
import { scrapedNames } from '../../platform/metrics-table.ts'
import { boards } from './boards.ts'
import { ROOT } from './project-files.ts'
import { complaintsOf, isOurs, readQuery } from './queries.ts'

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
const rulesText = read(RULES)
const rules = groupsOf(rulesText).flatMap(group => group.rules)
const alerts = rules.filter((rule): rule is Rule & { readonly alert: string } => rule.alert !== undefined)
const recorded = new Set(rules.flatMap(rule => rule.record ?? []))
const folder = 'docs/runbooks'
const runbooks = new Map(
  readdirSync(join(ROOT, folder))
    .filter(name => name !== 'README.md')
    .map(name => [name, read(`${folder}/${name}`)]),
)
const TEST_FILES = ['rules.test.yaml', 'rules-days.test.yaml']

describe('every alert', () => {
  test('is named once, and says how urgent it is, what happened and where its runbook lies', () => {
    expect(alerts.length).toBeGreaterThan(20)
    expect(new Set(alerts.map(({ alert }) => alert)).size).toBe(alerts.length)
    const bases = new Set<string>()
    for (const { alert, labels, annotations } of alerts) {
      expect(alert).toMatch(/^Socos[A-Z]/)
      expect(labels, alert).toEqual({ severity: expect.stringMatching(/^(?:page|ticket)$/) })
      const { summary = '', description = '', runbook_url = '', ...rest } = annotations ?? {}
      expect(rest, alert).toEqual({})
      expect(summary.length, alert).toBeLessThan(90)
      expect(summary, alert).toMatch(/^[A-Z].*[^.]$/)
      expect(description, alert).toMatch(/[.?!]$/)
      expect(runbook_url, alert).toMatch(new RegExp(`/${alert}\\.md$`))
      bases.add(runbook_url.slice(0, -`${alert}.md`.length))
    }
    expect(bases.size).toBe(1)
  })

  test('asks for metrics, labels and values that the catalogue has', () => {
    for (const { expr, alert, record } of rules) expect(complaintsOf(expr, recorded), alert ?? record).toEqual([])
  })

  test('speaks only of labels that it has', () => {
    for (const { alert, expr, annotations } of alerts) {
      const words = Object.values(annotations ?? {}).join(' ')
      const named = [...words.matchAll(/\$labels\.(\w+)/g)].map(match => match[1] ?? '')
      const made = new Set([...expr.matchAll(/label_replace\([^"]*"(\w+)"/g)].map(match => match[1]))
      for (const label of named) {
        if (made.has(label)) continue
        expect(complaintsOf(`sum by (${label}) (${expr})`, recorded), `${alert}: ${label}`).toEqual([])
        // what an outer aggregation takes away is not there any more
        const kept = /^\w+ by \(([^)]*)\)/.exec(expr)?.[1]?.split(/,\s*/)
        if (kept !== undefined) expect(kept, alert).toContain(label)
      }
    }
  })

  test('has a case in which it fires, and one in which it does not', () => {
    const cases = TEST_FILES.flatMap(casesOf)
    const fire = new Set(cases.filter(({ fires }) => fires).map(({ alert }) => alert))
    const silent = new Set(cases.filter(({ fires }) => !fires).map(({ alert }) => alert))
    const names = new Set(alerts.map(({ alert }) => alert))
    expect(fire).toEqual(names)
    expect(silent).toEqual(names)
  })
})

interface Case {
  readonly alert: string
  readonly fires: boolean
}

/** Of the queries that ask for one alert by name. */
function casesOf(file: string): readonly Case[] {
  const { tests } = parse(read(`k8s/observability/${file}`)) as {
    readonly tests: readonly {
      readonly promql_expr_test?: readonly { readonly expr: string; readonly exp_samples: readonly unknown[] }[]
    }[]
  }
  return tests.flatMap(({ promql_expr_test: queries = [] }) =>
    queries.flatMap(({ expr, exp_samples: samples }) => {
      const alert = /^ALERTS\{alertname="(\w+)",alertstate="firing"\}$/.exec(expr)?.[1]
      return alert === undefined ? [] : [{ alert, fires: samples.length > 0 }]
    }),
  )
}

describe('reading queries', () => {
  test('finds every metric, label and grouping', () => {
    const query = 'sum by (job, le) (rate(socos_a_total{b="c", d=~"e|f"}[5m] offset 1d)) > 0.5e1 and on (t) ALERTS # g'
    expect(readQuery(query)).toEqual({
      selectors: [
        {
          metric: 'socos_a_total',
          matchers: [
            { label: 'b', op: '=', value: 'c' },
            { label: 'd', op: '=~', value: 'e|f' },
          ],
        },
        { metric: 'ALERTS', matchers: [] },
      ],
      groupings: ['job', 'le', 't'],
    })
  })

  test.each([
    ['sum(socos_alerts_publishd_total)', 'no metric socos_alerts_publishd_total'],
    ['rate(socos_poll_lateness_seconds[5m])', 'no metric socos_poll_lateness_seconds'],
    ['socos_engine_circuit{state="shut"}', 'no socos_engine_circuit{state="shut"}'],
    ['socos_poll_turns_total{outcome=~"ok|fine"}', 'no socos_poll_turns_total{outcome="fine"}'],
    ['socos_lanes_owned{side="poller"}', 'socos_lanes_owned has no label side'],
    ['sum by (tenant) (socos_lanes_owned)', 'nothing here has the label tenant'],
    ['up{job="pollers"}', 'no up{job="pollers"}'],
    ['socos:nothing:ratio', 'no metric socos:nothing:ratio'],
  ])('%s is complained of', (query, complaint) => {
    expect(complaintsOf(query)).toEqual([complaint])
  })

  test.each(['1 + 2', '{job="poller"}', 'socos_lanes_owned{job="poller"'])('%s is refused', query => {
    expect(() => readQuery(query)).toThrow()
  })
})

describe('what is written from the rules', () => {
  test('is not old (npm run k8s:rules)', () => {
    expect(read(PROMETHEUS_RULE)).toBe(prometheusRule(rulesText))
    expect(read(RUNBOOKS)).toBe(withAlertTable(read(RUNBOOKS), rulesText))
    const changed = rulesText.replace('severity: page', 'severity: ticket')
    expect(prometheusRule(changed)).not.toBe(prometheusRule(rulesText))
    expect(withAlertTable(read(RUNBOOKS), changed)).not.toBe(read(RUNBOOKS))
  })

  test('is a PrometheusRule with the same groups', () => {
    expect(parse(prometheusRule(rulesText))).toEqual({
      apiVersion: 'monitoring.coreos.com/v1',
      kind: 'PrometheusRule',
      metadata: { name: 'socos' },
      spec: parse(rulesText) as unknown,
    })
  })

  test('another place for the runbooks reaches every alert, and can be taken back', () => {
    const moved = withRunbookBase(rulesText, 'https://wiki.example/runbooks/')
    const urls = groupsOf(moved).flatMap(group => group.rules.flatMap(rule => rule.annotations?.['runbook_url'] ?? []))
    expect(urls).toEqual(alerts.map(({ alert }) => `https://wiki.example/runbooks/${alert}.md`))
    expect(withRunbookBase(moved, folder)).toBe(withRunbookBase(rulesText, folder))
  })
})

describe('runbooks', () => {
  test('there is one for every alert, and none too many', () => {
    expect(new Set(runbooks.keys())).toEqual(new Set(alerts.map(({ alert }) => `${alert}.md`)))
  })

  test.each([...runbooks])('%s is one page with the same parts as all', (name, text) => {
    const alert = alerts.find(one => `${one.alert}.md` === name)
    expect(text.split('\n').length - 1).toBeLessThanOrEqual(40)
    const headings = [...text.matchAll(/^#+ .*/gm)].map(([heading]) => heading)
    expect(headings).toEqual([
      `# ${alert?.alert}`,
      '## What it means',
      '## Look here first',
      '## Causes, and what to do',
      '## It is over when',
      '## Do not',
    ])
    expect(text).toContain(`**${alert?.labels?.['severity']}**`)
    expect(strangeCommands(text)).toEqual([])
    expect(strangeMetrics(text)).toEqual([])
    expect(strangePanels(text)).toEqual([])
  })

  test('commands and metrics that do not exist would be noticed', () => {
    const text = '`npx socos status -t T --only ok`, `npx socos fix`, `npx socos parked list`, `socos_gone_total`'
    expect(strangeCommands(text)).toEqual(['status --only', 'fix'])
    expect(strangeMetrics(text)).toEqual(['socos_gone_total'])
    expect(strangePanels('- Board *Tenants*, *Gone*: see *there*.\n- *Elsewhere*')).toEqual(['Gone'])
  })
})

const socos: Command = program({ env: {}, out: () => {}, say: () => {}, isErrTty: false }, async () => {})

/** Commands and flags that `socos` does not know. */
function strangeCommands(text: string): readonly string[] {
  return [...text.matchAll(/npx socos ([^`\n|>]*)/g)].flatMap(match => {
    const words = (match[1] ?? '').trim().split(/\s+/)
    let command = socos
    const names: string[] = []
    while (command.commands.length > 0) {
      const name = words.shift() ?? ''
      const found = command.commands.find(one => one.name() === name)
      names.push(name)
      if (!found) return [names.join(' ')]
      command = found
    }
    const known = new Set(command.options.flatMap(({ short, long }) => [short, long]))
    return words.filter(word => /^-./.test(word) && !known.has(word)).map(flag => `${names.join(' ')} ${flag}`)
  })
}

function strangeMetrics(text: string): readonly string[] {
  const names = new Set(scrapedNames())
  const named = [...text.matchAll(/\bsocos_\w+/g)].map(([name]) => name)
  return named.filter(name => isOurs(name) && !names.has(name) && !names.has(`${name}_bucket`))
}

const shown = new Set([...boards.values()].flatMap(({ title, panels }) => [title, ...panels.map(panel => panel.title)]))

/** What is named in italics in a line about a board. */
function strangePanels(text: string): readonly string[] {
  const items = text.split(/^- /m).filter(item => item.startsWith('Board '))
  const named = items.flatMap(item => [...(item.split('\n\n')[0] ?? '').matchAll(/\*([A-Z][^*]*)\*/g)])
  return named
    .map(([, name = '']) => name.replace(/\s+/g, ' '))
    .filter(name => !shown.has(name) && !shown.has(`SOC.OS ${name[0]?.toLowerCase()}${name.slice(1)}`))
}

describe('promtool', () => {
  const runs = [['check', 'rules', 'rules.yaml'], ...TEST_FILES.map(file => ['test', 'rules', file])]
  test.concurrent.each(runs)('%s %s %s', { timeout: 240_000 }, async (...args) => {
    const { code, output } = await promtool(args)
    if (code === null) {
      console.error(
        `\n!!! ALERT RULES NOT TESTED: promtool is not on PATH, so "promtool ${args.join(' ')}" did not run. ` +
          'It is in the package prometheus of Debian and Ubuntu.\n',
      )
      return
    }
    expect(code, output).toBe(0)
    expect(output).toContain('SUCCESS')
  })
})

/** `code` is null where there is no promtool. */
async function promtool(args: readonly string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn('promtool', args, {
    cwd: join(ROOT, 'k8s/observability'),
    env: process.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  }
  return new Promise((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') resolve({ code: null, output: '' })
      else reject(error)
    })
    child.once('close', code => resolve({ code: code ?? 1, output }))
  })
}
