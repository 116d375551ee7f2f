// Asks the official parser about AsyncAPI documents: `node validate.mjs FILE...`. Prints one JSON list of what it found,
// references to files followed; exits with 1 where a document has an error.
import path from 'node:path'
import { Parser, DiagnosticSeverity, fromFile } from '@asyncapi/parser'

const found = []
for (const file of process.argv.slice(2)) {
  const { diagnostics } = await fromFile(new Parser(), path.resolve(file)).parse()
  for (const { code, severity, message, path: where, range } of diagnostics) {
    found.push({ file, code, severity: DiagnosticSeverity[severity].toLowerCase(), message, where: where.join('.'), line: range.start.line + 1 })
  }
}
console.log(JSON.stringify(found, null, 1))
process.exitCode = found.some(({ severity }) => severity === 'error') ? 1 : 0
