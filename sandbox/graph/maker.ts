import type { Random } from '../../platform/clock.ts'
import { alertMembers, newAlertId, type Recipe } from './alerts.ts'
import { intBelow, seededRandom, subSeed } from './chance.ts'
import { hostileId, renderHostile } from './hostile.ts'
import type { LedgerRevision } from './ledger.ts'
import { legacyMembers } from './legacy.ts'
import { normaliseStamp, servedStamp, stampOfTicks, stampTicks } from './stamp.ts'
import type { AlertStore } from './store.ts'
import type { SimTenant } from './tenants.ts'

export interface Moment {
  /** The simulator's own time: what goes into the alert. */
  readonly simMs: number
  /** Host time: what goes into the ledger. */
  readonly createdAtMs: number
  readonly visibleAtMs: number
}

/** Makes up the alerts of one tenant, always the same ones for the same seed and order of calls. */
export interface Maker {
  /** `at` is the update time as it is to be served; else one is made up within the moment's millisecond. */
  create(moment: Moment, wish?: { readonly at?: string; readonly hostile?: boolean }): LedgerRevision
  /** An alert of the past that was changed once before anybody looked. */
  createUpdated(moment: Moment): LedgerRevision
  /** A new revision of the alert, or of one picked by chance (mostly a recent one). Undefined when there is none. */
  update(moment: Moment, wish?: { readonly alertId?: string; readonly at?: string }): LedgerRevision | undefined
}

interface Made {
  recipe: Recipe
  readonly hostile: boolean
}

const RECENT = 50

export function openMaker(
  tenant: SimTenant,
  store: AlertStore,
  options: { readonly seed: number; readonly hostileShare: number },
): Maker {
  const random = seededRandom(options.seed)
  const made: Made[] = []
  const byId = new Map<string, Made>()

  function put(entry: Made, moment: Moment): LedgerRevision {
    const { recipe } = entry
    const bytes = Buffer.from(render(entry, tenant))
    if (entry.hostile) return store.add(bytes, moment)
    const known = { alertId: recipe.alertId, versionText: recipe.updatedText, createdText: recipe.createdText }
    return store.add(bytes, moment, known)
  }

  function begin(
    moment: Moment,
    createdText: string,
    updatedText: string,
    revision: number,
    hostile: boolean,
  ): LedgerRevision {
    const seed = subSeed(options.seed, made.length)
    const ordinary = newAlertId(seededRandom(seed))
    const alertId = hostile ? hostileId(ordinary, seed) : ordinary
    const recipe: Recipe = { seed, tenantId: tenant.tenantId, alertId, revision, createdText, updatedText }
    const entry: Made = { recipe, hostile }
    made.push(entry)
    byId.set(alertId, entry)
    return put(entry, moment)
  }

  return {
    create: (moment, wish = {}) => {
      const text = wish.at ?? servedStamp(random, moment.simMs)
      const hostile = wish.hostile ?? (options.hostileShare > 0 && random() < options.hostileShare)
      return begin(moment, text, text, 1, hostile)
    },
    createUpdated: moment => {
      const updatedText = servedStamp(random, moment.simMs)
      const createdText = servedStamp(random, moment.simMs - 1000 - intBelow(random, 6 * 3_600_000))
      return begin(moment, createdText, updatedText, 2, options.hostileShare > 0 && random() < options.hostileShare)
    },
    update: (moment, wish = {}) => {
      const entry = wish.alertId === undefined ? pickEntry(random, made) : byId.get(wish.alertId)
      if (entry === undefined) return undefined
      const before = store.newestVersion(entry.recipe.alertId) ?? ''
      let updatedText = wish.at ?? servedStamp(random, moment.simMs)
      // a made-up time never lies before, or at, that of the revision it follows
      if (wish.at === undefined && (normaliseStamp(updatedText) ?? '') <= before) {
        updatedText = stampOfTicks(stampTicks(before) + 1n)
      }
      entry.recipe = { ...entry.recipe, revision: entry.recipe.revision + 1, updatedText }
      return put(entry, moment)
    },
  }
}

function pickEntry(random: Random, made: readonly Made[]): Made | undefined {
  const recent = random() < 0.5
  const back = intBelow(random, recent ? Math.min(RECENT, made.length) : made.length)
  return made[made.length - 1 - back]
}

function render(entry: Made, tenant: SimTenant): string {
  const members = tenant.source === 'alerts' ? legacyMembers(entry.recipe) : alertMembers(entry.recipe)
  return entry.hostile ? renderHostile(members, entry.recipe.seed) : JSON.stringify(members)
}
