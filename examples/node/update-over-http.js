// Updates events over HTTP, and prints their outcomes. The Idempotency-Key comes first and
// is sent with every try: a request whose answer was lost is the same request when it comes
// again, and gets the same outcomes.
//
//   node update-over-http.js import-7 completed ev_1 ev_2
//
// SETTLE_URL is the gateway, http://127.0.0.1:8000 if not set; SETTLE_API_KEY is a key, if
// it asks for one.
import { setTimeout as pause } from "node:timers/promises";

const TRIES = 4;
const RETRIED = [408, 429, 502, 503, 504]; // 502 and 504 are a proxy's
const url = new URL("/v2/api/events/batch", process.env.SETTLE_URL ?? "http://127.0.0.1:8000");
const [key, status, ...ids] = process.argv.slice(2);
if (!ids.length) {
  console.error("usage: node update-over-http.js KEY STATUS EVENT …");
  process.exit(2);
}

async function ask() {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
  if (process.env.SETTLE_API_KEY) headers.Authorization = `Bearer ${process.env.SETTLE_API_KEY}`;
  const body = JSON.stringify(ids.map((id) => ({ id, status })));
  const signal = AbortSignal.timeout(30_000);
  const answer = await fetch(url, { method: "PATCH", headers, body, signal });
  if (answer.ok) return answer.json();
  const { message } = await answer.json().catch(() => ({ message: answer.statusText }));
  const error = new Error(`${answer.status} ${message}`);
  error.refused = !RETRIED.includes(answer.status);
  error.retryAfter = Number(answer.headers.get("Retry-After"));
  throw error;
}

async function main() {
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      // No answer at all is a reason to try again, too.
      if (error.refused || tries === TRIES) throw error;
      await pause(1000 * (error.retryAfter || tries));
    }
  }
}

main().then(
  (outcomes) => outcomes.forEach((outcome) => console.log(JSON.stringify(outcome))),
  (error) => {
    const why = error.cause ?? error;
    const what = error.refused ? "refused" : "not known to be done";
    console.error(`${what}: ${key}: ${why.message || why.code}`);
    process.exit(1);
  },
);
