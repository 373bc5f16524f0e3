// Listens for outcomes over HTTP: Server-Sent Events, read with fetch, for EventSource sends no
// API key. Goes on where it was when a connection ends, whoever ended it.
//
//   node outcomes-over-http.js [ID]
//
// ID is that of the event that was handled last, `oldest` for all that is kept; from now on, if
// there is none. SETTLE_URL is the gateway, http://127.0.0.1:8000 if not set; SETTLE_API_KEY is a
// key, if it asks for one. Ctrl-C ends it, and prints where to go on.
import { setTimeout as pause } from "node:timers/promises";

const SILENT = 60_000; // four heartbeats
const base = process.env.SETTLE_URL ?? "http://127.0.0.1:8000";
let [lastId = ""] = process.argv.slice(2);
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    console.error(`go on with ${lastId}`);
    process.exit(0);
  });
}

async function* lines(body, alive) {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of body) {
    alive();
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop();
    yield* parts;
  }
}

async function* listen() {
  const headers = { Accept: "text/event-stream" };
  if (process.env.SETTLE_API_KEY) headers.Authorization = `Bearer ${process.env.SETTLE_API_KEY}`;
  if (lastId) headers["Last-Event-ID"] = lastId;
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(new Error("no heartbeat")), SILENT);
  try {
    const answer = await fetch(new URL("/v2/api/outcomes", base), { headers, signal: silence.signal });
    if (!answer.ok) {
      const { message } = await answer.json().catch(() => ({ message: answer.statusText }));
      throw Object.assign(new Error(message), { status: answer.status });
    }
    let event = {};
    for await (const line of lines(answer.body, () => timer.refresh())) {
      const [, name, value] = /^(\w*): ?(.*)$/s.exec(line) ?? [];
      if (name) event[name] = value;
      else if (event.id) {
        yield event;
        event = {};
      }
    }
  } finally {
    clearTimeout(timer);
  }
}

for (;;) {
  try {
    for await (const { id, event, data } of listen()) {
      // An outcome may come twice: messageId and index tell.
      if (event === "problem") console.error(JSON.parse(data).message);
      else if (data) console.log(data);
      lastId = id;
    }
  } catch (error) {
    console.error(error.cause?.message || error.message);
    if (error.status === 410) lastId = "oldest"; // some are gone, and were not handled
    else if (error.status < 500 && error.status !== 429) process.exit(1);
  }
  await pause(1000);
}
