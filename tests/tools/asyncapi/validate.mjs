// Says what AsyncAPI's own parser has to say of a document: JSON, a list of diagnostics.
import { readFile } from "node:fs/promises";
import parser from "@asyncapi/parser";

const text = await readFile(process.argv[2], "utf8");
const diagnostics = await new parser.Parser().validate(text);
console.log(JSON.stringify(diagnostics, ["code", "message", "path", "severity"], 2));
