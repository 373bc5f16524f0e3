"""The operators' page: what `settle top` shows, the dead letters and the consumer groups.

Read from the servers once for all who watch (`reading`, `watching`), shown to who may see it
(`admission`, `application`). It settles nothing and reads no event: no database is connected.
"""
