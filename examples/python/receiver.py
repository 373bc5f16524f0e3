"""Receives outcomes that `settle webhooks` pushes, and prints each once.

    WEBHOOK_SECRET=whsec_… python receiver.py 8080

Needs `standardwebhooks` alone; whatever serves HTTP does it the same way.
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
# In a service this is a unique index: (messageId, index).
seen = set()


class Receiver(BaseHTTPRequestHandler):
    """Takes what verifies, and nothing else."""

    def do_POST(self) -> None:
        """Answer when it is stored; work on it later."""
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            pushed = webhook.verify(body, dict(self.headers))
        except WebhookVerificationError:
            self.send_error(401)
            return
        for outcome in pushed["data"]["outcomes"]:
            key = outcome["messageId"], outcome["index"]
            if key not in seen:
                seen.add(key)
                print(outcome["id"], outcome["status"], outcome["updated"], flush=True)
        self.send_response(204)
        self.end_headers()


HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
