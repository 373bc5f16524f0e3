// Publishes one message where the broker is RabbitMQ, and waits until it is confirmed. The
// workers have declared the queue; celery-node would declare it as another kind, and fail.
//
//   node publish-with-amqplib.js import-7 completed ev_1 ev_2
//
// The message id comes first. If it fails, run it again with the same one: it is the same
// message, however often it arrives. AMQP_URL is the broker, amqp://localhost if not set.
import amqp from "amqplib";

const QUEUE = "event-status-updates";
const [messageId, status, ...ids] = process.argv.slice(2);
if (!ids.length) {
  console.error("usage: node publish-with-amqplib.js MESSAGE-ID STATUS EVENT …");
  process.exit(2);
}

async function main() {
  const connection = await amqp.connect(process.env.AMQP_URL ?? "amqp://localhost");
  try {
    const channel = await connection.createConfirmChannel();
    await channel.checkQueue(QUEUE);
    const body = JSON.stringify([[ids.map((id) => ({ id, status }))], {}, {}]);
    channel.publish("", QUEUE, Buffer.from(body), {
      contentType: "application/json",
      contentEncoding: "utf-8",
      persistent: true,
      headers: { task: "events.update_status", id: messageId, lang: "js", ignore_result: true },
    });
    await channel.waitForConfirms();
  } finally {
    await connection.close();
  }
  console.log(`sent ${messageId}: ${ids.length} updates`);
}

main().catch((error) => {
  console.error(`not known to be sent: ${messageId}: ${error.message || error.code}`);
  process.exit(1);
});
