import { createPrivateKey } from 'node:crypto'
import { createCA, createCert } from 'mkcert'

/** PEM texts; the key in PKCS#8, as Java wants it. */
export interface Certified {
  readonly cert: string
  readonly key: string
}

/** An authority that nobody else trusts, for a cluster that lives as long as a test. */
export interface Authority {
  readonly cert: string
  /** For servers and clients alike: the first name is the common name, and all names (or addresses) are certified. */
  issue(...names: [string, ...string[]]): Promise<Certified>
}

const VALID_DAYS = 2

export async function createAuthority(name: string): Promise<Authority> {
  const ca = await createCA({ organization: name, countryCode: 'XX', state: '-', locality: '-', validity: VALID_DAYS })
  return {
    cert: ca.cert,
    async issue(...names) {
      const { cert, key } = await createCert({ ca, domains: names, validity: VALID_DAYS })
      return { cert, key: createPrivateKey(key).export({ type: 'pkcs8', format: 'pem' }) }
    },
  }
}
