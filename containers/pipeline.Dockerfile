# Zone runs of dbt: docker build -f containers/pipeline.Dockerfile -t pipeline .
FROM python:3.11.14-slim-bookworm AS dependencies
COPY requirements.runtime.lock /
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --only-binary :all: \
      --require-hashes -r /requirements.runtime.lock
RUN printf '#!/venv/bin/python\nfrom pipeline.cli import main\nmain()\n' > /venv/bin/pipeline && chmod 755 /venv/bin/pipeline

FROM python:3.11.14-slim-bookworm
# The application's folder stays read-only; what a run writes goes to a scratch folder.
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DBT_PROFILES_DIR=/app/profiles \
    DBT_TARGET_PATH=/var/tmp/millrace/target \
    MILLRACE_PIPELINE_STATE=/var/tmp/millrace/pipeline
WORKDIR /app
COPY --from=dependencies /venv /venv
COPY dbt_project.yml selectors.yml pipeline.yml ./
COPY profiles profiles
COPY macros macros
COPY dbt_project dbt_project
COPY core core
COPY pipeline pipeline
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
# No HEALTHCHECK: a run ends, with an exit code that tells how.
ENTRYPOINT ["pipeline"]
CMD ["run", "--once", "--json"]
