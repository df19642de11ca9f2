/**
 * Writes from rules.yaml what others need of it: the PrometheusRule for the operator, and the table of runbooks.
 * `npm run k8s:rules`, and `npm run k8s:rules -- --runbooks https://wiki.example/runbooks` to have alerts point there.
 * A test fails when one is old.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { parse } from 'yaml'

export interface Rule {
  readonly alert?: string
  readonly record?: string
  readonly expr: string
  readonly for?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

export interface RuleGroup {
  readonly name: string
  readonly rules: readonly Rule[]
}

export const RULES = 'k8s/observability/rules.yaml'
export const PROMETHEUS_RULE = 'k8s/components/prometheus-operator/rules.yaml'
export const RUNBOOKS = 'docs/runbooks/README.md'

export function groupsOf(rulesText: string): readonly RuleGroup[] {
  return (parse(rulesText) as { readonly groups: readonly RuleGroup[] }).groups
}

export function prometheusRule(rulesText: string): string {
  const groups = rulesText.slice(rulesText.search(/^groups:$/m)).replace(/^(?=.)/gm, '  ')
  return `# Written from ${RULES} by \`npm run k8s:rules\`: change it there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: socos
spec:
${groups}`
}

/** The document with its table as it should be. */
export function withAlertTable(document: string, rulesText: string): string {
  const rows = groupsOf(rulesText).flatMap(({ name, rules }) =>
    rules.flatMap(({ alert, labels, annotations }) =>
      alert === undefined
        ? []
        : [
            `| [${alert}](${alert}.md) | ${labels?.['severity']} | ${name.replace('socos-', '')} | ${plain(annotations)} |`,
          ],
    ),
  )
  const table = ['| alert | severity | group | it says |', '|---|---|---|---|', ...rows].join('\n')
  return document.replace(/(<!-- table: alerts -->\n)[^]*?(<!-- end -->)/, (_, open: string, end: string) => {
    return `${open}${table}\n${end}`
  })
}

function plain(annotations: Rule['annotations']): string {
  return (annotations?.['summary'] ?? '').replace(/\{\{ \$labels\.(\w+) \}\}/g, '*$1*')
}

/** Every alert points to `base/<its name>.md`. */
export function withRunbookBase(rulesText: string, base: string): string {
  return rulesText.replace(/(runbook_url: ).*\/(\w+\.md)$/gm, (_, key: string, page: string) => {
    return `${key}${base.replace(/\/+$/, '')}/${page}`
  })
}

if (import.meta.main) {
  const root = new URL('../../', import.meta.url)
  const read = (path: string): string => readFileSync(new URL(path, root), 'utf8')
  const { runbooks } = parseArgs({ options: { runbooks: { type: 'string' } } }).values
  if (runbooks !== undefined) writeFileSync(new URL(RULES, root), withRunbookBase(read(RULES), runbooks))
  writeFileSync(new URL(PROMETHEUS_RULE, root), prometheusRule(read(RULES)))
  writeFileSync(new URL(RUNBOOKS, root), withAlertTable(read(RUNBOOKS), read(RULES)))
}
