// Sends updates that are to be answered later, and asks until all of their outcomes are there. The
// Idempotency-Key comes first: started again with it, this is the same message, and goes on asking.
//
//   node update-later-over-http.js nightly-17 completed ev_1 ev_2
//
// SETTLE_URL is the gateway, http://127.0.0.1:8000 if not set; SETTLE_API_KEY is a key, if it
// asks for one; with a key of several accounts, SETTLE_ACCOUNT is that of the events.
import { setTimeout as pause } from "node:timers/promises";

const TRIES = 60;
const LATER = [408, 429, 502, 503, 504]; // 502 and 504 are a proxy's
const base = process.env.SETTLE_URL ?? "http://127.0.0.1:8000";
const accountId = process.env.SETTLE_ACCOUNT; // left out of the JSON if undefined
const [key, status, ...ids] = process.argv.slice(2);
if (!ids.length) {
  console.error("usage: node update-later-over-http.js KEY STATUS EVENT …");
  process.exit(2);
}
const authorization = process.env.SETTLE_API_KEY && {
  Authorization: `Bearer ${process.env.SETTLE_API_KEY}`,
};

async function ask(path, options = {}) {
  for (let tries = 1; ; tries++) {
    let answer;
    try {
      const headers = { ...authorization, ...options.headers };
      const signal = AbortSignal.timeout(30_000);
      answer = await fetch(new URL(path, base), { ...options, headers, signal });
    } catch (error) {
      // No answer at all is a reason to try again, too.
      if (tries === TRIES) throw error.cause ?? error;
    }
    if (answer?.ok) return answer;
    if (answer && (!LATER.includes(answer.status) || tries === TRIES)) {
      const { message } = await answer.json().catch(() => ({ message: answer.statusText }));
      throw new Error(`${answer.status} ${message}`);
    }
    await pause(1000 * (Number(answer?.headers.get("Retry-After")) || 1));
  }
}

async function main() {
  const headers = {
    "Content-Type": "application/json",
    "Idempotency-Key": key,
    Prefer: "respond-async",
  };
  const body = JSON.stringify(ids.map((id) => ({ id, status, accountId })));
  const accepted = await ask("/v2/api/events/batch", { method: "PATCH", headers, body });
  for (;;) {
    const answer = await ask(accepted.headers.get("Location"));
    const { awaited, outcomes } = await answer.json();
    if (!awaited) return outcomes;
    console.error(`${awaited} awaited`);
    await pause(1000 * (Number(answer.headers.get("Retry-After")) || 1));
  }
}

main().then(
  (outcomes) => outcomes.forEach((outcome) => console.log(JSON.stringify(outcome))),
  (error) => {
    console.error(`${key}: ${error.message || error.code}`);
    process.exit(1);
  },
);
