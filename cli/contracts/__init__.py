"""Both doors described for machines: JSON Schemas, OpenAPI for HTTP, AsyncAPI for the queue.

Clients are generated from the files in `contracts/`, which `settle contracts` writes.
The service itself reads none of it.
"""
