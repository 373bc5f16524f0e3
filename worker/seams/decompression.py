"""Compressed bodies, expanded as far as a message may be large and no further.

kombu decompresses a body as soon as a message arrives, whatever it expands to: a
few kilobytes can be gigabytes. Celery's option `compression` works all the same.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any

import kombu.compression

from tasks.messages import MAX_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable


def decompress(make: Callable[[], Any], body: bytes) -> bytes:
    """Expand a body.

    Args:
        make: Makes one of the standard library's decompressors.
        body: Compressed.

    Raises:
        ValueError: It is larger than a message may be, or cut off.
    """
    decompressor = make()
    expanded: bytes = decompressor.decompress(body, MAX_BODY_BYTES + 1)
    if len(expanded) > MAX_BODY_BYTES:
        raise ValueError(f"expanded it is larger than {MAX_BODY_BYTES:,} bytes")
    if not decompressor.eof:
        raise ValueError("it is cut off")
    return expanded


def install() -> None:
    """Use this in place of what kombu decompresses with, in this process."""
    registry: Any = kombu.compression
    for name, make in (
        ("gzip", zlib.decompressobj),
        ("bzip2", bz2.BZ2Decompressor),
        ("lzma", lzma.LZMADecompressor),
    ):
        encode, content_type = registry.get_encoder(name)
        registry.register(encode, partial(decompress, make), content_type, aliases=[name])
