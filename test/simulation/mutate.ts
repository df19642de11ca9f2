/** Loaded with --import: takes one guard out of the production code as its file is loaded. */
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { MUTATIONS } from './mutations.ts'

const name = process.env['SIMULATION_MUTATION']
const mutation = MUTATIONS.find(each => each.name === name)
if (!mutation) throw new Error(`no mutation ${name}`)
const { file, edits } = mutation
const url = new URL(`../../${file}`, import.meta.url)
const source = readFileSync(url, 'utf8')
for (const [find] of edits) {
  const places = source.split(find).length - 1
  if (places !== 1) throw new Error(`${name}: its text stands ${places} times in ${file}: ${find}`)
}
const mutated = edits.reduce((text, [find, replace]) => text.replace(find, () => replace), source)
let isLoaded = false

registerHooks({
  load(asked, context, next) {
    const loaded = next(asked, context)
    if (asked !== url.href) return loaded
    isLoaded = true
    return { ...loaded, source: mutated }
  },
})
process.on('exit', () => {
  if (isLoaded) return
  console.error(`${name}: ${file} was never loaded`)
  process.exitCode = 3
})
