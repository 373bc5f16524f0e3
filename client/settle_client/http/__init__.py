"""The service over HTTP, for those who have no broker: what is asked, what answers mean.

`settle_client.http.client` and `settle_client.http.async_client` are the faces; httpx is
imported by `settle_client.http.transport` alone, when a client is made.
"""
