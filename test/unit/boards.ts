/** The Grafana boards and what they ask for. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './project-files.ts'

export interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly datasource?: { readonly type: string; readonly uid: string }
  readonly targets?: readonly {
    readonly refId: string
    readonly expr: string
    readonly legendFormat?: string
    readonly instant?: boolean
    readonly range?: boolean
  }[]
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } }
}

interface Variable {
  readonly name: string
  readonly type: string
  readonly query?: string | { readonly query: string }
}

export interface Board {
  readonly uid: string
  readonly title: string
  readonly description: string
  readonly tags: readonly string[]
  readonly schemaVersion: number
  readonly refresh: string
  readonly templating: { readonly list: readonly Variable[] }
  readonly panels: readonly Panel[]
}

const FOLDER = 'k8s/observability/boards'

/** By file name, without `.json`. */
export const boards: ReadonlyMap<string, Board> = new Map(
  readdirSync(join(ROOT, FOLDER)).map(file => [
    file.replace('.json', ''),
    JSON.parse(readFileSync(join(ROOT, FOLDER, file), 'utf8')) as Board,
  ]),
)

export interface Asked {
  readonly board: string
  readonly panel: string
  readonly expr: string
}

/** What a board asks for, with values for Grafana's own variables. */
export function queriesOf(board: Board): readonly Asked[] {
  return board.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({ board: board.uid, panel: title, expr: filledIn(expr) })),
  )
}

function filledIn(expr: string): string {
  return expr.replaceAll('$__rate_interval', '2m').replaceAll('$__range', '6h')
}
