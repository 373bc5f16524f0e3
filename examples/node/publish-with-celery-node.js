// Publishes one message with celery-node, a Celery client for Node.js:
// one update by keyword arguments, several by positional ones.
//
//   node publish-with-celery-node.js import-6 completed ev_1
//   node publish-with-celery-node.js import-7 failed ev_2 ev_3
//
// The message id comes first. If it fails, run it again with the same one: it is the same
// message, however often it arrives. REDIS_URL is the broker, redis://localhost:6379/0 if
// not set.
import celery from "celery-node";

const QUEUE = "event-status-updates"; // celery-node's own default is "celery"
const url = process.env.REDIS_URL ?? "redis://localhost:6379/0";
const [messageId, status, ...ids] = process.argv.slice(2);
if (!ids.length) {
  console.error("usage: node publish-with-celery-node.js MESSAGE-ID STATUS EVENT …");
  process.exit(2);
}

async function main() {
  const client = celery.createClient(url, url, QUEUE);
  client.conf.CELERY_BROKER_OPTIONS = {
    username: decodeURIComponent(new URL(url).username), // its ioredis leaves out the URL's
    enableReadyCheck: false, // that is INFO, which a producer has no right to
    retryStrategy: null, // fail, instead of trying for ever
  };
  const updates = ids.map((id) => ({ id, status }));
  const [args, kwargs] = updates.length === 1 ? [[], updates[0]] : [[updates], {}];
  const message = client.createTaskMessage(messageId, "events.update_status", args, kwargs);
  const headers = { ...message.headers, ignore_result: true, sent_at: Date.now() / 1000 };
  // createTask(…).applyAsync(…) sends later, and tells nobody whether it did. This waits.
  client.broker.redis.on("error", () => {}); // what is awaited tells
  await client.broker.isReady();
  await client.broker.publish(message.body, "", QUEUE, headers, message.properties);
  await client.broker.disconnect();
  console.log(`sent ${messageId}: ${ids.length} updates`);
}

main().catch((error) => {
  console.error(`not known to be sent: ${messageId}: ${error.message || error.code}`);
  process.exit(1);
});
