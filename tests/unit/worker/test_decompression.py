"""Compressed bodies."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from kombu import compression as untyped

from tasks.messages import MAX_BODY_BYTES
from worker.seams import decompression

if TYPE_CHECKING:
    from collections.abc import Callable


compression: Any = untyped

EACH = pytest.mark.parametrize(
    ("name", "compress"),
    [("gzip", zlib.compress), ("bzip2", bz2.compress), ("lzma", lzma.compress)],
)


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for registry in ("_aliases", "_decoders", "_encoders"):
        monkeypatch.setattr(compression, registry, dict(getattr(compression, registry)))
    decompression.install()


@EACH
def test_a_compressed_body_is_expanded(name: str, compress: Callable[[bytes], bytes]) -> None:
    """By the name that Celery's option has, as kombu does."""
    body, content_type = compression.compress(b"[[], {}, {}]", name)
    assert compression.decompress(body, content_type) == b"[[], {}, {}]"
    assert compression.decompress(compress(b"x" * MAX_BODY_BYTES), name) == b"x" * MAX_BODY_BYTES


@EACH
def test_a_bomb_is_not_expanded(name: str, compress: Any) -> None:
    """Further than a message may be large."""
    with pytest.raises(ValueError, match="larger than 8,388,608 bytes"):
        compression.decompress(compress(bytes(10 * MAX_BODY_BYTES)), name)


@EACH
def test_a_body_that_is_cut_off_is_refused(name: str, compress: Any) -> None:
    """It would be half a message."""
    with pytest.raises((ValueError, EOFError), match="cut off"):
        compression.decompress(compress(b"[[], {}, {}]" * 10)[:-12], name)
