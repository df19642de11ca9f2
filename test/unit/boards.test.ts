import { describe, expect, test } from 'vitest'
import { groupsOf, RULES } from '../../k8s/observability/generate.ts'
import type { Board, Panel } from './boards.ts'
import { boards, queriesOf } from './boards.ts'
import { projectFiles } from './project-files.ts'
import { complaintsOf, readQuery } from './queries.ts'

const files = new Map(projectFiles().map(({ path, text }) => [path, text]))
const rules = groupsOf(files.get(RULES) ?? '').flatMap(group => group.rules)
const recorded = new Set(rules.flatMap(rule => rule.record ?? []))

test('there are three', () => {
  expect([...boards.keys()].toSorted()).toEqual(['parked', 'pipeline', 'tenants'])
})

describe.each([...boards])('the board %s', (name, board) => {
  test('can be loaded by any Grafana from 11 on, and finds the others by their tag', () => {
    expect(board).toMatchObject({ uid: `socos-${name}`, tags: ['socos'], refresh: '30s' })
    expect(board.schemaVersion).toBeGreaterThanOrEqual(39)
    expect(board.title).toMatch(/^SOC\.OS /)
    expect(board.description).not.toBe('')
    expect(board.templating.list[0]).toMatchObject({ name: 'datasource', type: 'datasource', query: 'prometheus' })
  })

  test('names no host and no datasource of its own', () => {
    expect(files.get(`k8s/observability/boards/${name}.json`)).not.toMatch(/https?:|\/d\/|localhost/)
    for (const { type, datasource, targets } of board.panels) {
      if (targets !== undefined) expect(datasource).toEqual({ type: 'prometheus', uid: '${datasource}' })
      else expect(['row', 'text']).toContain(type)
    }
  })

  test('says what every panel shows, and in which unit', () => {
    for (const { type, title, description, fieldConfig, targets } of board.panels) {
      expect(title).not.toBe('')
      if (type === 'row') continue
      expect(description, title).toMatch(/\w{3}/)
      if (targets !== undefined) expect(fieldConfig?.defaults.unit, title).toMatch(/^(?:suffix: )?\w+$/)
    }
  })

  test('shows in its tiles and tables what is, and not the last that workers said before they were gone', () => {
    const momentary = board.panels.filter(({ type }) => ['stat', 'table', 'bargauge'].includes(type))
    expect(momentary.length).toBeGreaterThan(3)
    for (const { title, targets = [] } of momentary) {
      expect(
        targets.map(({ instant, range }) => ({ instant, range })),
        title,
      ).toEqual(targets.map(() => ({ instant: true, range: false })))
    }
  })

  test('has panels that do not lie upon each other, each with an id of its own', () => {
    expect(overlaps(board.panels)).toEqual([])
    expect(new Set(board.panels.map(({ id }) => id)).size).toBe(board.panels.length)
    for (const { targets = [], title } of board.panels) {
      expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length)
    }
  })

  test('asks for metrics, labels and values that the catalogue has', () => {
    const asked = queriesOf(board)
    expect(asked.length).toBeGreaterThan(10)
    for (const { panel, expr } of asked) expect(complaintsOf(expr, recorded), panel).toEqual([])
  })

  test('shows only labels that a query keeps, and uses only variables that it has', () => {
    for (const { title, targets = [] } of board.panels) {
      for (const { expr, legendFormat = '' } of targets) {
        for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
          expect(readQuery(expr.replace(/\$__\w+/g, '2m')).groupings, title).toContain(label)
        }
      }
    }
    expect(strangeVariables(board)).toEqual([])
  })
})

describe('what would be wrong with a board is noticed', () => {
  const panel = (id: number, x: number, y: number, w = 12): Panel => ({
    id,
    type: 'stat',
    title: `p${id}`,
    gridPos: { x, y, w, h: 4 },
  })

  test('panels upon each other, and beyond the edge', () => {
    expect(overlaps([panel(1, 0, 0), panel(2, 12, 0), panel(3, 0, 4)])).toEqual([])
    expect(overlaps([panel(1, 0, 0), panel(2, 11, 3)])).toEqual(['p1 and p2'])
    expect(overlaps([panel(1, 13, 0)])).toEqual(['p1 ends beyond column 24'])
  })

  test('variables that nobody defines', () => {
    const [board] = boards.values()
    if (!board) throw new Error('no board')
    const wrong: Board = {
      ...board,
      panels: [{ ...panel(1, 0, 0), targets: [{ refId: 'A', expr: 'up{instance=~"$worker"}' }] }],
    }
    expect(strangeVariables(wrong)).toEqual(['worker'])
  })
})

function overlaps(panels: readonly Panel[]): readonly string[] {
  const wide = panels.filter(({ gridPos: { x, w } }) => x < 0 || x + w > 24)
  const pairs = panels.flatMap((one, at) => panels.slice(at + 1).map(other => [one, other] as const))
  const overlapping = pairs.filter(([{ gridPos: a }, { gridPos: b }]) => {
    return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
  })
  return [
    ...wide.map(({ title }) => `${title} ends beyond column 24`),
    ...overlapping.map(([one, other]) => `${one.title} and ${other.title}`),
  ]
}

const OF_GRAFANA = new Set(['__rate_interval', '__range'])

function strangeVariables({ panels, templating }: Board): readonly string[] {
  const known = new Set([...OF_GRAFANA, ...templating.list.map(({ name }) => name)])
  const used = panels.flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => [...expr.matchAll(/\$(\w+)/g)]))
  return used.map(([, name = '']) => name).filter(name => !known.has(name))
}
