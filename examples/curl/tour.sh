#!/usr/bin/env bash
# The events API, from an event that is created to its outcome that is heard, with curl alone.
# With `bash -v examples/curl/tour.sh` each command stands before its answer. Its events are its
# own, tour_1 to tour_3; run once more it shows what is answered when they are settled already.
set -euo pipefail
URL=${SETTLE_URL:-http://127.0.0.1:8000}
URL=${URL%/}
KEY="Authorization: Bearer ${SETTLE_API_KEY:-none}"
JSON='Content-Type: application/json'
SHOW='\n%{http_code}\n'

# Three pending events.
curl -sS -w "$SHOW" -H "$KEY" -H "$JSON" -X POST "$URL/v2/api/events" -d '[
  {"id": "tour_1", "accountId": "acct_9", "eventType": "order.created", "payload": {"total": 1250}},
  {"id": "tour_2", "accountId": "acct_9", "eventType": "order.created", "payload": {"total": 400}},
  {"id": "tour_3", "accountId": "acct_9", "eventType": "order.created"}]'

# What is pending, oldest first.
curl -sS -w "$SHOW" -H "$KEY" "$URL/v2/api/events?status=pending&accountId=acct_9"

# Where the stream of outcomes ends, before anything is settled.
after=$(curl -sS -H "$KEY" "$URL/v2/api/outcomes" | sed 's/.*"after":"\([^"]*\)".*/\1/')

# One is completed, and the same request sent again gets the same answer.
curl -sS -w "$SHOW" -H "$KEY" -H "$JSON" -H 'Idempotency-Key: tour-a' \
  -X PATCH "$URL/v2/api/events" -d '{"id": "tour_1", "status": "completed"}'
curl -sS -w "$SHOW" -H "$KEY" -H "$JSON" -H 'Idempotency-Key: tour-a' \
  -X PATCH "$URL/v2/api/events" -d '{"id": "tour_1", "status": "completed"}'

# Another request is too late.
curl -sS -w "$SHOW" -H "$KEY" -H "$JSON" -H 'Idempotency-Key: tour-b' \
  -X PATCH "$URL/v2/api/events" -d '{"id": "tour_1", "status": "failed"}'

# Several in one request, with an outcome for each.
curl -sS -w "$SHOW" -H "$KEY" -H "$JSON" -H 'Idempotency-Key: tour-c' \
  -X PATCH "$URL/v2/api/events/batch" -d '[
  {"id": "tour_1", "status": "completed"}, {"id": "tour_2", "status": "completed"},
  {"id": "tour_3", "status": "failed"}, {"id": "tour_4", "status": "failed"}]'

# The outcomes of that message, as Server-Sent Events, for three seconds.
curl -sN -m 3 -H "$KEY" -H 'Accept: text/event-stream' -H "Last-Event-ID: $after" \
  "$URL/v2/api/outcomes?messageId=tour-c" || [ $? = 28 ]
