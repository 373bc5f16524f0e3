// Prints outcomes as they are published. Nothing is kept for who is not listening, so this
// is for watching; outcomes-durable.js is for acting on every one.
//
//   node outcomes-live.js
//
// REDIS_URL is the result channel, redis://localhost:6379/0 if not set. Ctrl-C ends it;
// if Redis goes away, it ends with 1 and whatever supervises it starts it again.
import { createClient } from "redis";

const url = process.env.REDIS_URL ?? "redis://localhost:6379/0";

function parse(text) {
  try {
    const outcome = JSON.parse(text);
    if (outcome?.constructor === Object) return outcome;
  } catch {} // somebody else publishes here too
  console.error(`not an outcome: ${text}`);
}

function show(text) {
  const outcome = parse(text);
  if (!outcome) return;
  const { id, status, updated, reason, error } = outcome;
  console.log(`${id} ${status}: ${updated ? "updated" : (error?.message ?? reason)}`);
}

async function main() {
  const client = createClient({ url, socket: { reconnectStrategy: false } });
  const ended = new Promise((resolve, reject) => {
    client.on("error", reject);
    process.once("SIGINT", resolve).once("SIGTERM", resolve);
  });
  const listen = async () => {
    await client.connect();
    await client.subscribe("event-outcomes", show);
  };
  await Promise.all([ended, listen()]);
  client.destroy();
}

main().catch((error) => {
  console.error(`outcomes are not heard: ${error.message || error.code}`);
  process.exit(1);
});
