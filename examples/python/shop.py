"""A FastAPI service that settles an event, and answers with what became of it.

pip install settle-client fastapi uvicorn
BROKER_URL=redis://localhost:6379/0 uvicorn shop:app
curl -X POST localhost:8000/shipments/ev_1/delivered

Every request reads all outcomes that are published while it waits. Where that is too
much, let one task follow the channel, and wake whoever waits for a message.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException

from settle_client import AsyncOutcomeClient, AsyncProducer, InvalidUpdateError, NotSentError

BROKER_URL = os.environ["BROKER_URL"]
OUTCOME_URL = os.environ.get("OUTCOME_URL", BROKER_URL)
PATIENCE_SECONDS = 10

producer = AsyncProducer(BROKER_URL)
outcomes = AsyncOutcomeClient(OUTCOME_URL)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Send what is unsent before the process ends."""
    async with outcomes, producer:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/shipments/{event_id}/delivered")
async def deliver(event_id: str) -> dict[str, Any]:
    """Complete the event of a shipment."""
    since = await outcomes.position()
    try:
        message_id = await producer.send({"id": event_id, "status": "completed"})
        waiting = outcomes.wait(
            {message_id: [event_id]}, timeout_seconds=PATIENCE_SECONDS, since=since
        )
        return (await anext(waiting)).to_dict()
    except InvalidUpdateError as error:
        raise HTTPException(400, str(error)) from error
    except (NotSentError, TimeoutError) as error:
        # It may be settled all the same, and later.
        raise HTTPException(503, str(error)) from error
