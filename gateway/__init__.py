"""The second door: the same guarded update, and the same outcomes, over HTTP.

A request is a message whose sender waits for the answer. It knows no Celery and
no broker. What is in it is settled by `tasks.settle`, as by a worker.

A connection is in `serving`, who may ask in `access`, what all requests share in
`requests`; then come three kinds of operation, each a folder: `events`, `outcomes`,
`messages`. `application` puts them together.
"""
