import type { Block, Text } from './guide.ts'

/** As Markdown; what was given cannot become markup. */
export function toMarkdown(blocks: readonly Block[]): string {
  return `${blocks.map(blockToMarkdown).join('\n\n')}\n`
}

function blockToMarkdown(block: Block): string {
  switch (block.kind) {
    case 'title':
      return `# ${markdownOf(block.text)}`
    case 'heading':
      return `## ${markdownOf(block.text)}`
    case 'text':
      return markdownOf(block.text)
    case 'steps':
      return block.items.map((item, at) => `${at + 1}. ${markdownOf(item)}`).join('\n')
    case 'points':
      return block.items.map(item => `- ${markdownOf(item)}`).join('\n')
    case 'checklist':
      return block.items.map(item => `- [ ] ${markdownOf(item)}`).join('\n')
    case 'drawing':
      return ['```', ...block.lines, '```'].join('\n')
  }
}

function markdownOf(text: Text): string {
  return partsOf(text)
    .map(part => (typeof part === 'string' ? part : markdownGiven(part.given)))
    .join('')
}

const LINK = /^https:\/\/[\w./?=&%-]+$/

function markdownGiven(given: string): string {
  // a link of ours is to be clicked
  if (LINK.test(given)) return `<${given}>`
  return given.replace(/[\\`*_{}[\]()#+!|-]/g, String.raw`\$&`).replace(/[&<>]/g, sign => ENTITIES[sign] ?? sign)
}

/** One page that needs nothing else: no script, no picture, no font from elsewhere. */
export function toHtml(blocks: readonly Block[]): string {
  const [first] = blocks
  const title = first?.kind === 'title' ? plainOf(first.text) : ''
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`,
    `<title>${escaped(title)}</title>`,
    `<style>${STYLE}</style>`,
    '</head>',
    '<body>',
    ...blocks.map(blockToHtml),
    '</body>',
    '</html>',
    '',
  ].join('\n')
}

const STYLE = [
  'body{max-width:46rem;margin:2rem auto;padding:0 1rem;font:1rem/1.5 system-ui,sans-serif;color:#1b1b1b;background:#fff}',
  'pre{overflow-x:auto;padding:1rem;background:#f3f4f6;font-size:.85rem;line-height:1.35}',
  'code{background:#f3f4f6;padding:0 .2em}',
  'h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}',
  '.checklist{list-style:none;padding-left:0}.checklist li::before{content:"\\2610\\00a0\\00a0"}',
  '@media print{body{margin:0;max-width:none}}',
].join('')

function blockToHtml(block: Block): string {
  switch (block.kind) {
    case 'title':
      return `<h1>${htmlOf(block.text)}</h1>`
    case 'heading':
      return `<h2>${htmlOf(block.text)}</h2>`
    case 'text':
      return `<p>${htmlOf(block.text)}</p>`
    case 'steps':
      return `<ol>\n${itemsToHtml(block.items)}\n</ol>`
    case 'points':
      return `<ul>\n${itemsToHtml(block.items)}\n</ul>`
    case 'checklist':
      return `<ul class="checklist">\n${itemsToHtml(block.items)}\n</ul>`
    case 'drawing':
      return `<pre>${escaped(block.lines.join('\n'))}</pre>`
  }
}

function itemsToHtml(items: readonly Text[]): string {
  return items.map(item => `<li>${htmlOf(item)}</li>`).join('\n')
}

function htmlOf(text: Text): string {
  return partsOf(text)
    .map(part => (typeof part === 'string' ? htmlOfOurs(part) : htmlGiven(part.given)))
    .join('')
}

function htmlOfOurs(text: string): string {
  return escaped(text)
    .replace(/`([^`]+)`/g, '<code>$1</code>')
    .replace(/\*\*([^*]+)\*\*/g, '<strong>$1</strong>')
}

function htmlGiven(given: string): string {
  const shown = escaped(given)
  return LINK.test(given) ? `<a href="${shown}">${shown}</a>` : shown
}

function plainOf(text: Text): string {
  return partsOf(text)
    .map(part => (typeof part === 'string' ? part : part.given))
    .join('')
}

function partsOf(text: Text): readonly (string | { readonly given: string })[] {
  return typeof text === 'string' ? [text] : text
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, sign => ENTITIES[sign] ?? sign)
}
