// Graphile Worker doing the same job: a job for each update, or for many, in its own queue.
//
// Set up as its documentation has it where it tells its highest rate: jobs are fetched 500 at a
// time and completed together. With GATHERED, the jobs that run at the same time share one
// statement, which its documentation does not show, and which is the most that it allows.

import { run } from "graphile-worker";
import pg from "pg";
import { createClient } from "redis";

const STREAM = "event-outcomes";
const TASK = "events.update_status";
const { DATABASE_URL, SETTLE_OUTCOME_URL, UPDATE, SELECT } = process.env;
const gathered = Number(process.env.GATHERED ?? 1);
const concurrentJobs = gathered > 1 ? gathered : 24;
// Jobs that share a statement need no connection each.
const connections = gathered > 1 ? 4 : concurrentJobs + 1;

const database = new pg.Pool({ connectionString: DATABASE_URL, max: connections });
const redis = await createClient({ url: SETTLE_OUTCOME_URL }).connect();

async function rows(name, text, values) {
  const found = await database.query({ name, text, values });
  return new Map(found.rows.map((row) => [row.id, row]));
}

async function settle(updates) {
  const columns = ["id", "status", "messageId"].map((name) => updates.map((one) => one[name]));
  const settled = await rows("update", UPDATE, columns);
  const missing = columns[0].filter((id) => !settled.has(id));
  const others = missing.length ? await rows("select", SELECT, [missing]) : new Map();
  const published = redis.multi();
  for (const update of updates) {
    const outcome = JSON.stringify(outcomeOf(update, settled, others));
    const trimmed = { strategy: "MAXLEN", strategyModifier: "~", threshold: 1_000_000 };
    published.xAdd(STREAM, "*", { outcome }, { TRIM: trimmed });
    published.publish(STREAM, outcome);
  }
  await published.execAsPipeline();
}

function outcomeOf({ id, status, messageId }, settled, others) {
  const updated = settled.get(id)?.settled_by === messageId;
  const row = settled.get(id) ?? others.get(id);
  const reason = !row ? "not_found" : row.completed_at ? "already_completed" : "already_failed";
  return {
    id,
    updated,
    status,
    reason: updated ? null : reason,
    messageId,
    accountId: row?.account_id ?? null,
    eventType: row?.event_type ?? null,
    createdAt: row?.created_at ?? null,
    completedAt: row?.completed_at ?? null,
    failedAt: row?.failed_at ?? null,
  };
}

let waiting = [];
let shared = null;

// What comes before the event loop turns, or as long as all connections are in use, is one batch.
function settleTogether(updates) {
  waiting.push(...updates);
  shared ??= new Promise((resolve) => setImmediate(resolve)).then(() => {
    const batch = waiting;
    waiting = [];
    shared = null;
    return settle(batch);
  });
  return shared;
}

async function updateStatus(payload, { job }) {
  const updates = [payload].flat().map((update) => ({ ...update, messageId: job.id }));
  await (gathered > 1 ? settleTogether(updates) : settle(updates));
}

const worker = await run({
  preset: {
    worker: {
      connectionString: DATABASE_URL,
      concurrentJobs,
      maxPoolSize: connections,
      localQueue: { size: Math.max(500, concurrentJobs) },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
    },
  },
  taskList: { [TASK]: updateStatus },
});
await worker.promise;
