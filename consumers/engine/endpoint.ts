import { isIP } from 'node:net'

/**
 * `{ENGINE_URL}/v1/alerts:batch`. https only; plain http outside production and only to loopback or a host name
 * without a dot (a compose service, a port-forward). Throws in words that never repeat the URL, which may hold a secret.
 */
export function engineEndpoint(engineUrl: string, options: { readonly production: boolean }): URL {
  const url = URL.parse(engineUrl)
  if (!url) throw new Error('ENGINE_URL is not a URL; write for example https://engine.example.org')
  if (url.username !== '' || url.password !== '') {
    throw new Error('ENGINE_URL holds a user or password; put the token into the file that ENGINE_TOKEN_FILE names')
  }
  if (url.search !== '' || url.hash !== '') {
    throw new Error('ENGINE_URL holds a query or fragment; write only the base that /v1/alerts:batch follows')
  }
  switch (url.protocol) {
    case 'https:':
      break
    case 'http:':
      if (options.production) throw new Error('ENGINE_URL is plain http; with NODE_ENV=production it must be https')
      if (!isNearby(url.hostname)) {
        throw new Error(`ENGINE_URL is plain http to ${url.hostname}; use https, or a loopback or single-label host`)
      }
      break
    default:
      throw new Error('ENGINE_URL must start with https://')
  }
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/v1/alerts:batch`
  return url
}

function isNearby(hostname: string): boolean {
  if (hostname === '[::1]') return true
  if (isIP(hostname) === 4) return hostname.startsWith('127.')
  return /^[a-z0-9_-]+$/i.test(hostname)
}
