// Acts on every outcome, also on those published while it was away: a member of a consumer
// group on the stream. First what it was given before it died, then what is new.
//
//   node outcomes-durable.js billing host-1
//
// Each outcome goes to one member of the group; give each member a name that it keeps.
// REDIS_URL is the result channel, redis://localhost:6379/0 if not set. Ctrl-C ends it after
// the outcome at hand; if Redis goes away, it ends with 1, and goes on when started again.
import { hostname } from "node:os";
import { createClient } from "redis";

const STREAM = "event-outcomes";
const REMEMBERED = 10_000;
const url = process.env.REDIS_URL ?? "redis://localhost:6379/0";
const [group = "billing", member = hostname()] = process.argv.slice(2);
const seen = new Set();
let stopping = false;
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => (stopping = true));

function parse(text) {
  try {
    const outcome = JSON.parse(text);
    if (outcome?.constructor === Object) return outcome;
  } catch {} // somebody else's entry
  console.error(`not an outcome: ${text}`);
}

async function act(outcome) {
  // Across restarts only your own store can know: a unique key there on both.
  const pair = JSON.stringify([outcome.messageId, outcome.index]);
  if (seen.has(pair)) return;
  const { id, status, updated, reason, error } = outcome;
  console.log(`${id} ${status}: ${updated ? "updated" : (error?.message ?? reason)}`);
  seen.add(pair);
  if (seen.size > REMEMBERED) seen.delete(seen.values().next().value);
}

async function makeGroup(client) {
  try {
    await client.xGroupCreate(STREAM, group, "0", { MKSTREAM: true });
  } catch (error) {
    if (!error.message.startsWith("BUSYGROUP")) throw error;
  }
}

async function read(client, since) {
  // Not client.xReadGroup(): it fails on what was trimmed before it was acknowledged.
  const wait = since === ">" ? ["BLOCK", "1000"] : [];
  const reply = await client.sendCommand([
    ...["XREADGROUP", "GROUP", group, member, "COUNT", "100"],
    ...[...wait, "STREAMS", STREAM, since],
  ]);
  return reply?.[0][1] ?? [];
}

async function main() {
  const client = createClient({ url, socket: { reconnectStrategy: false } });
  client.on("error", () => {}); // whatever waits for a reply tells
  await client.connect();
  await makeGroup(client);
  let since = "0";
  while (!stopping) {
    const entries = await read(client, since);
    if (since !== ">") since = entries.length ? entries.at(-1)[0] : ">";
    for (const [entry, fields] of entries) {
      const place = fields?.indexOf("outcome") ?? -1;
      const outcome = fields && parse(place < 0 ? undefined : fields[place + 1]);
      if (outcome) await act(outcome);
      await client.xAck(STREAM, group, entry);
      if (stopping) break;
    }
  }
  client.destroy();
}

main().catch((error) => {
  console.error(`outcomes are not read: ${error.message || error.code}`);
  process.exit(1);
});
