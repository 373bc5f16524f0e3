FROM python:3.13-slim AS build
RUN pip install --no-cache-dir "uv>=0.9"
ENV UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never
WORKDIR /app
# What changes seldom first: a change of the code installs no dependency again.
COPY pyproject.toml uv.lock ./
COPY client/pyproject.toml client/
RUN uv sync --locked --no-dev --extra http --extra webhooks --no-install-workspace
COPY README.md LICENSE celeryconfig.py ./
COPY client client
COPY db db
COPY tasks tasks
COPY service service
COPY worker worker
COPY gateway gateway
COPY webhooks webhooks
COPY cli cli
RUN uv sync --locked --no-dev --extra http --extra webhooks --no-editable

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home settle
WORKDIR /app
COPY --from=build /app/.venv /app/.venv
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1
# By number: `runAsNonRoot` cannot tell who a name is.
USER 10001
# What an image says of itself; last, for it differs from build to build: .github/workflows/release.yml.
ARG CREATED
ARG REVISION
ARG SOURCE
ARG VERSION
LABEL org.opencontainers.image.title="Settle" \
      org.opencontainers.image.description="Mark events completed or failed, once only, in batches, through Celery and PostgreSQL." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="docker.io/library/python:3.13-slim" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}"
CMD ["celery", "-A", "worker", "worker", "--loglevel", "INFO"]
