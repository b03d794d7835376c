// Prints what the AsyncAPI project's parser finds wrong with a document, as a JSON list of lines.
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(await readFile(process.argv[2], "utf8"));
const lines = diagnostics
  .filter((found) => found.severity <= 1)
  .map((found) => `${found.path.join("/")}: ${found.message}`);
if (!document && lines.length === 0) lines.push("the parser returned no document");
process.stdout.write(JSON.stringify(lines));
