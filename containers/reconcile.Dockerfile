# Reconciliation: docker build -f containers/reconcile.Dockerfile -t reconcile .
FROM python:3.11.14-slim-bookworm AS dependencies
COPY requirements.runtime.lock /
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --only-binary :all: \
      --require-hashes -r /requirements.runtime.lock
RUN printf '#!/venv/bin/python\nfrom reconcile.cli import main\nmain()\n' > /venv/bin/reconcile && chmod 755 /venv/bin/reconcile

FROM python:3.11.14-slim-bookworm
# The application's folder stays read-only; reports go to a scratch folder, findings to the audit table.
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY --from=dependencies /venv /venv
COPY reconcile.yml ./
COPY dbt_project/models/raw dbt_project/models/raw
COPY core core
COPY reconcile reconcile
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
# No HEALTHCHECK: a run ends, with an exit code that tells how.
ENTRYPOINT ["reconcile"]
CMD ["run", "--json", "--state", "/var/tmp/millrace/reconcile-state", "--output", "/var/tmp/millrace/reconcile"]
