// Evaluates what stands in `${{ }}` with @actions/expressions.
// usage: evaluate.mjs TOOLS
// stdin: {contexts: {name: value}, status: {always: true, success: true, ...}, templates: {key: text}}
// stdout: {key: text}. A text without `${{ }}` stays as it is; a lone expression gives its value as text.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const library = join(process.argv[2], "node_modules/@actions/expressions/dist/index.js");
const { Lexer, Parser, Evaluator, data } = await import(pathToFileURL(library).href);

const request = JSON.parse(readFileSync(0, "utf8"));

function converted(value) {
  if (value === null) return new data.Null();
  if (typeof value === "string") return new data.StringData(value);
  if (typeof value === "number") return new data.NumberData(value);
  if (typeof value === "boolean") return new data.BooleanData(value);
  if (Array.isArray(value)) return new data.Array(...value.map(converted));
  return new data.Dictionary(...Object.entries(value).map(([key, item]) => ({ key, value: converted(item) })));
}

const contexts = converted(request.contexts);
const functions = new Map(
  Object.entries(request.status).map(([name, value]) => [
    name,
    { name, minArgs: 0, maxArgs: 0, call: () => new data.BooleanData(value) },
  ]),
);

function evaluated(expression) {
  const { tokens } = new Lexer(expression).lex();
  const tree = new Parser(tokens, Object.keys(request.contexts), [...functions.values()]).parse();
  return new Evaluator(tree, contexts, functions).evaluate().coerceString();
}

const results = Object.entries(request.templates).map(([key, text]) => [
  key,
  text.replace(/\$\{\{(.*?)\}\}/gs, (_, expression) => evaluated(expression.trim())),
]);
process.stdout.write(JSON.stringify(Object.fromEntries(results)));
