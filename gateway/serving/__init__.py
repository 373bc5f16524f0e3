"""The server: uvicorn, with connections that are let go where a client is too slow."""
