// Publishes with nothing but a Redis client: one message for each event, all of them in
// one LPUSH. A message is named after the job that sends it, so running the job again,
// because it failed or by mistake, sends the same messages and gets the same outcomes.
//
//   node publish-with-redis.js nightly-17 completed ev_1 ev_2 ev_3
//
// REDIS_URL is the broker, redis://localhost:6379/0 if not set.
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { createClient, ErrorReply } from "redis";

const QUEUE = "event-status-updates";
const TRIES = 4;
const url = process.env.REDIS_URL ?? "redis://localhost:6379/0";
const [job, status, ...ids] = process.argv.slice(2);
if (!ids.length) {
  console.error("usage: node publish-with-redis.js JOB STATUS EVENT …");
  process.exit(2);
}

function envelope(messageId, update) {
  const body = JSON.stringify([[], update, {}]); // args, kwargs, and what nobody reads
  return JSON.stringify({
    body: Buffer.from(body).toString("base64"),
    "content-type": "application/json",
    "content-encoding": "utf-8",
    headers: {
      task: "events.update_status",
      id: messageId,
      lang: "js",
      ignore_result: true,
      sent_at: Date.now() / 1000,
    },
    properties: {
      body_encoding: "base64",
      delivery_info: { exchange: "", routing_key: QUEUE },
      delivery_tag: randomUUID(), // a new one each time, also of the same message
    },
  });
}

async function send() {
  const client = createClient({ url, socket: { reconnectStrategy: false } });
  client.on("error", () => {}); // connect() and lPush() tell
  try {
    await client.connect();
    await client.lPush(QUEUE, ids.map((id) => envelope(`${job}/${id}`, { id, status })));
  } finally {
    if (client.isOpen) client.destroy();
  }
}

async function main() {
  for (let tries = 1; ; tries++) {
    try {
      return await send();
    } catch (error) {
      // What Redis refuses, it would refuse again.
      if (error instanceof ErrorReply || tries === TRIES) throw error;
      await pause(1000 * tries);
    }
  }
}

main().then(
  () => console.log(`sent ${job}: ${ids.length} messages`),
  (error) => {
    console.error(`not known to be sent: ${job}: ${error.message || error.code}`);
    process.exit(1);
  },
);
