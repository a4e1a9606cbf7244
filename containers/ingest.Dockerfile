# The streaming ingester: docker build -f containers/ingest.Dockerfile -t ingest .
FROM python:3.11.14-slim-bookworm AS dependencies
COPY requirements.runtime.lock /
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --only-binary :all: \
      --require-hashes -r /requirements.runtime.lock
RUN printf '#!/venv/bin/python\nfrom ingest.cli import main\nmain()\n' > /venv/bin/ingest && chmod 755 /venv/bin/ingest

FROM python:3.11.14-slim-bookworm
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY --from=dependencies /venv /venv
COPY dbt_project/models/raw dbt_project/models/raw
COPY core core
COPY ingest ingest
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
# No HEALTHCHECK: whoever runs it probes /healthz and /readyz (`--http-port`, Cloud Run's PORT), and starts it anew.
ENTRYPOINT ["ingest"]
CMD ["run"]
