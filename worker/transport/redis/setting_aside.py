"""What a channel fetched and does not deliver: it is no message, or its workers died."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger

from worker.transport.delivery import cut_text
from worker.transport.redis.items import NotAMessageError, delivery_count, headers_of, read_item

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.transport.redis.fetch import Fetched

logger = get_logger(__name__)


def _how_many_died(count: int) -> str:
    return f"{count} workers died with it"


class SettingAside:
    """The part of a channel that makes messages of what was fetched; mixed into kombu's."""

    #: How often a message may have been with a worker that died: twice in company
    #: and three times alone.
    delivery_limit = 5
    #: How often it is delivered after that, marked as given up, before it is set aside.
    last_deliveries = 0
    #: Takes what is not delivered, and why; it is acknowledged when it is in safety.
    #: Set it before the first fetch.
    on_set_aside: Callable[[Fetched, str], None] | None = None

    qos: Any
    Message: Any
    dead_list: Callable[[str], str]

    def understand(self, fetched: Fetched) -> Any:
        """Return a fetched message, None if it is set aside."""
        try:
            payload = read_item(fetched.item, fetched.byte_count)
            count = delivery_count(payload)
            if count > self.delivery_limit + self.last_deliveries:
                self._set_aside(fetched, _how_many_died(count))
                return None
            message = self.Message(payload, channel=self)
            message.given_up = _how_many_died(count) if count > self.delivery_limit else ""
        except NotAMessageError as error:
            self._set_aside(fetched, f"it is not a message: {error}")
        except Exception as error:  # noqa: BLE001 - of whatever a body is declared to be
            self._set_aside(fetched, f"its body cannot be decoded: {error!r}")
        else:
            if fetched.tag:
                message.delivery_tag = fetched.tag
                self.qos.append(message, fetched.tag)
            return message
        return None

    def _set_aside(self, fetched: Fetched, reason: str) -> None:
        source, tag, item, _ = fetched
        named = cut_text(headers_of(item).get("id"))
        fields = {"queue": source.queue, "reason": reason, "message_id": named}
        logger.error("message set aside", extra=fields)
        if not tag:
            return
        self.qos.append(None, tag)
        try:
            if self.on_set_aside is not None:
                self.on_set_aside(fetched, reason)
            elif self.qos.move([tag], lambda _: ([self.dead_list(source.queue)], item)):
                self.qos.let_go([tag])
            else:
                logger.error("message not taken", extra=fields)
        except Exception:
            # It is held, and comes again when its lease ends.
            logger.exception("message could not be set aside", extra=fields)
