"""Compressed bodies."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import TYPE_CHECKING, Any

import brotli  # type: ignore[import-untyped]
import pytest
from backports import zstd
from kombu import compression as untyped

from tasks.messages import MAX_BODY_BYTES
from worker.seams import decompression

if TYPE_CHECKING:
    from collections.abc import Callable


compression: Any = untyped

EACH = pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("gzip", zlib.compress),
        ("bzip2", bz2.compress),
        ("lzma", lzma.compress),
        ("brotli", brotli.compress),
        ("zstd", zstd.compress),
    ],
)


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for registry in ("_aliases", "_decoders", "_encoders"):
        monkeypatch.setattr(compression, registry, dict(getattr(compression, registry)))
    compression.register(bytes, bytes, "application/x-unbounded", aliases=["unbounded"])
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
    text = b"".join(b"%d " % number for number in range(1_000))
    with pytest.raises((ValueError, EOFError), match="cut off"):
        compression.decompress(compress(text)[:-12], name)


def test_a_dictionary_has_a_bound_too() -> None:
    """A few bytes can ask for gigabytes before anything is expanded."""
    wanted = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**30}]
    body = lzma.compress(b"[[], {}, {}]", filters=wanted)
    with pytest.raises(lzma.LZMAError, match=r"[Mm]emory"):
        compression.decompress(body, "lzma")
    assert compression.decompress(lzma.compress(b"[]", preset=9), "lzma") == b"[]"


def test_a_window_has_a_bound_too() -> None:
    """The same, in what Zstandard calls it."""
    options: dict[int, int] = {
        zstd.CompressionParameter.window_log: 27,
        zstd.CompressionParameter.content_size_flag: 0,
    }
    compressor = zstd.ZstdCompressor(options=options)
    body = compressor.compress(b"[]" * 1_000) + compressor.flush()
    with pytest.raises(zstd.ZstdError, match=r"memory|window"):
        compression.decompress(body, "zstd")


def test_what_has_no_bound_is_not_expanded() -> None:
    """Whatever else somebody has told kombu of."""
    with pytest.raises(ValueError, match="application/x-unbounded is not taken"):
        compression.decompress(b"[]", "unbounded")
