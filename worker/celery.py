"""The Celery application: what `celery -A worker …` finds."""

import sys

from celery import Celery

from worker.settings import SettingsError, load_settings

try:
    load_settings()
except SettingsError as error:
    sys.exit(f"settle: {error}")

app = Celery("settle")
app.config_from_object("celeryconfig")
